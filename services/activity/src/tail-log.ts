import { setTimeout as delay } from "node:timers/promises";
import type { Reach } from "@openhermit/caller";
import { invalidArgument } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import type { TailEventsRequest } from "@openhermit/protocol/activity/v1/activity_service";
import { isInReach, toQuery, type EventQuery } from "./event-query.ts";
import { isFuturePlace, readAfter, readLast, type LogEntry, type LogPage } from "./event-store.ts";
import { decodeCursor } from "./place.ts";
import type { TailHub } from "./tail-hub.ts";
import { inChunks } from "./tail-reader.ts";

const PAGE_SIZE = 200;
const RETRY_MS = 5;

/**
 * The events asked for, in the order of the log, in answers of a bounded size: history first, read at the reader's own
 * pace, then what comes. An empty first answer says that there is no history. Ends when the signal aborts.
 *
 * An event is shown when its agent is in reach at that moment: what waits for the reader is looked at again.
 */
export async function* tailLog(
  db: Queryable,
  hub: TailHub,
  request: Pick<TailEventsRequest, "filter" | "start">,
  reach: Reach,
  signal: AbortSignal,
): AsyncGenerator<LogEntry[]> {
  const query = tailQuery(request, reach);
  let page = await firstPage(db, query, request.start);
  let isFirst = true;
  for (;;) {
    for (const chunk of visibleChunks(query, page.entries)) {
      yield chunk;
      isFirst = false;
    }
    const reader = page.more ? undefined : hub.attach(query, page.next);
    if (reader === undefined) {
      // The hub went on meanwhile; it stands still again by the time the next page is read.
      if (!page.more) await delay(RETRY_MS);
    } else {
      const onAbort = (): void => hub.detach(reader);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        if (isFirst) yield [];
        for (;;) {
          // A signal that aborted before the listener was there.
          if (signal.aborted) return;
          const entries = await reader.take();
          if (entries === undefined) return;
          yield* visibleChunks(query, entries);
        }
      } finally {
        signal.removeEventListener("abort", onAbort);
        hub.detach(reader);
      }
    }
    if (signal.aborted) return;
    page = await readAfter(db, query, page.next, PAGE_SIZE);
  }
}

/** Answers of what is still in reach when they are taken. */
function* visibleChunks(query: EventQuery, entries: readonly LogEntry[]): Generator<LogEntry[]> {
  for (const chunk of inChunks(entries)) {
    const visible = chunk.filter(({ event }) => isInReach(query, event));
    if (visible.length > 0) yield visible;
  }
}

function tailQuery({ filter }: Pick<TailEventsRequest, "filter">, reach: Reach): EventQuery {
  if (filter?.endTime !== undefined) {
    throw invalidArgument("TAIL_END_TIME", "a tail has no end: filter.end_time is not allowed", {
      hint: "Leave end_time out, or ask QueryEvents.",
    });
  }
  return toQuery(filter, reach);
}

async function firstPage(db: Queryable, query: EventQuery, start: TailEventsRequest["start"]): Promise<LogPage> {
  if (start.case !== "afterCursor") return readLast(db, query, start.value ?? 0);
  const place = decodeCursor(start.value);
  if (place === undefined || (await isFuturePlace(db, place))) throw badCursor();
  return readAfter(db, query, place, PAGE_SIZE);
}

function badCursor(): Error {
  return invalidArgument("CURSOR_INVALID", "the cursor does not belong to this log", {
    hint: "Use the cursor of an event that this gateway's database has stored, or start with last.",
  });
}
