import { invalidArgument, MeshError } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import type { TailAuditRequest } from "@openhermit/protocol/access/v1/audit_service";
import { decodeCursor, type AuditPlace } from "./audit-place.ts";
import { toTailQuery } from "./audit-query.ts";
import { isFuturePlace, readAfter, readEnd, type StoredRecord, type TrailPage } from "./audit-store.ts";
import type { PokeBoard } from "./poke-board.ts";

const PAGE_SIZE = 200;
/** The safety net behind the pokes, in milliseconds. */
const PERIOD_MS = 2000;
/** When to look again for records that wait for another transaction, in milliseconds: growing up to a bound. */
const HELD_MS = 5;
const MAX_HELD_MS = 100;

/**
 * The records asked for, in the order in which they were stored, first an empty answer: the stream is open. Reads at the
 * reader's own pace, so nothing waits in memory for a slow one. Goes on over an absence of the database. Ends when the
 * signal aborts.
 *
 * Errors: TAIL_END_TIME, TIME_RANGE_INVALID, CURSOR_INVALID; DATABASE_UNAVAILABLE at the beginning only.
 */
export async function* tailAudit(
  db: Queryable,
  board: PokeBoard,
  request: Pick<TailAuditRequest, "filter" | "cursor">,
  signal: AbortSignal,
): AsyncGenerator<StoredRecord[]> {
  const query = toTailQuery(request.filter);
  let place = await startOf(db, request.cursor);
  yield [];
  let heldMs = HELD_MS;
  while (!signal.aborted) {
    const seen = board.count;
    const page = await read(() => readAfter(db, query, place, PAGE_SIZE));
    if (page !== undefined) {
      if (page.records.length > 0) yield page.records;
      place = page.next;
      if (page.more) continue;
    }
    const held = page?.held === true;
    await board.wait(seen, held ? heldMs : PERIOD_MS, signal);
    heldMs = held ? Math.min(MAX_HELD_MS, heldMs * 2) : HELD_MS;
  }
}

async function startOf(db: Queryable, cursor: string): Promise<AuditPlace> {
  if (cursor === "") return readEnd(db);
  const place = decodeCursor(cursor);
  if (place === undefined || (await isFuturePlace(db, place))) {
    throw invalidArgument("CURSOR_INVALID", "the cursor does not belong to this trail", {
      hint: "Use the cursor of a record that this gateway's database has stored, or none.",
    });
  }
  return place;
}

/** The page; undefined while the database is away. */
async function read(page: () => Promise<TrailPage>): Promise<TrailPage | undefined> {
  try {
    return await page();
  } catch (error) {
    if (error instanceof MeshError && error.code === "unavailable") return undefined;
    throw error;
  }
}
