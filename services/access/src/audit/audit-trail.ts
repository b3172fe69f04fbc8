import type { ServiceImpl } from "@connectrpc/connect";
import type { RecordChanges } from "@openhermit/caller";
import { MeshError, unavailable } from "@openhermit/errors";
import { decodePageToken, encodePageToken, pageSizeOf } from "@openhermit/paging";
import type { Database, Subscription } from "@openhermit/postgres";
import type { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import type { Denial } from "../access-ports.ts";
import type { Actor } from "../principal.ts";
import { toMessage } from "./audit-proto.ts";
import { toQuery } from "./audit-query.ts";
import { changeRecord, denialRecord, harmlessDenial } from "./audit-record.ts";
import { AUDIT_CHANNEL, insertRecords, readNewest, type PageEnd } from "./audit-store.ts";
import { createDenialBuffer } from "./denial-buffer.ts";
import { createKeepTrailTask, keepTrail } from "./keep-trail.ts";
import { createPokeBoard } from "./poke-board.ts";
import { tailAudit } from "./tail-audit.ts";

/** What an audit trail is made of. */
export interface AuditTrailOptions {
  database: Database;
  log: Log;
  /** How long records are kept, days, at least 31. Whole months are dropped. */
  retentionDays: number;
  /** The clock of denied attempts. Default: the system's. */
  now?: () => Date;
}

/** Who did what. Records are added, and dropped by the month when they are old; nothing changes them. */
export interface AuditTrail {
  /** Writes the changes of an actor in the transaction that makes them: both are stored, or neither. */
  recordChanges(actor: Actor): RecordChanges;
  /** Stores a denied attempt within a second; alike ones within a minute become one more record. Never throws. */
  recordDenial(denial: Denial): void;
  /** Reading the trail. */
  readonly rpcs: ServiceImpl<typeof AuditService>;
  /** Makes sure that there is room for this month and the next two, and begins to keep the trail. Errors: DATABASE_UNAVAILABLE. */
  start(): Promise<void>;
  /** Ends tails, and writes what still waits. */
  close(): Promise<void>;
}

/** How often it is looked whether denied attempts are to be stored, in milliseconds; the first of a kind is stored at once. */
const FLUSH_MS = 1000;
const TIME_OF_PAGE = /^-?\d{1,15}$/;
const POSITION = /^\d{1,18}$/;

/** Opens the audit trail. */
export function createAuditTrail(options: AuditTrailOptions): AuditTrail {
  const { database, log, now = () => new Date() } = options;
  const denials = createDenialBuffer();
  const board = createPokeBoard();
  const closing = new AbortController();
  let running: { flush: PeriodicTask; keep: PeriodicTask; subscription: Subscription } | undefined;

  async function flush(all: boolean): Promise<void> {
    const held = denials.take(now(), all);
    if (held.length === 0) return;
    try {
      await insertRecords(
        database,
        held.map(({ denial, time, count }) => denialRecord(denial, time, count)),
      );
    } catch (error) {
      denials.giveBack(held);
      throw error;
    }
  }

  return {
    recordChanges: (actor) => async (tx, changes) => {
      if (changes.length === 0) return;
      await insertRecords(
        tx,
        changes.map((change) => changeRecord(actor, change)),
      );
    },

    recordDenial(denial) {
      if (closing.signal.aborted) return;
      denials.add(harmlessDenial(denial), now());
      running?.flush.poke();
    },

    rpcs: {
      async queryAudit({ filter, pageSize, pageToken }) {
        const query = toQuery(filter);
        const { records, more } = await readNewest(database, query, pageEndOf(pageToken), pageSizeOf(pageSize));
        const last = records.at(-1);
        return {
          records: records.map(toMessage),
          nextPageToken:
            more && last !== undefined ? encodePageToken([`${last.time.getTime()}`, `${last.position}`]) : "",
        };
      },

      async *tailAudit(request, context) {
        const signal = AbortSignal.any([context.signal, closing.signal]);
        for await (const records of tailAudit(database, board, request, signal)) {
          yield { records: records.map(toMessage) };
        }
        if (closing.signal.aborted && !context.signal.aborted) throw stopping();
      },
    },

    async start() {
      // Before anything is recorded, for a gateway may have slept for months.
      await keepTrail(database, options);
      const keep = createKeepTrailTask(database, options);
      running = {
        keep,
        flush: createPeriodicTask({
          name: "store denied attempts",
          periodMs: FLUSH_MS,
          onError(error) {
            // They wait, and are stored when the database is there again.
            const away = error instanceof MeshError && error.code === "unavailable";
            log[away ? "debug" : "error"]({ err: error }, "denied attempts not stored");
          },
          run: () => flush(false),
        }),
        subscription: database.listen(
          AUDIT_CHANNEL,
          () => board.poke(),
          () => {
            // A backup may have been put back meanwhile.
            keep.poke();
            board.poke();
          },
        ),
      };
    },

    async close() {
      closing.abort();
      running?.subscription.close();
      await Promise.all([running?.flush.stop(), running?.keep.stop()]);
      await flush(true).catch((error: unknown) => log.warn({ err: error }, "denied attempts lost"));
    },
  };
}

function pageEndOf(token: string): PageEnd | undefined {
  const [time, position] = decodePageToken(token, [TIME_OF_PAGE, POSITION]) ?? [];
  return time === undefined || position === undefined
    ? undefined
    : { time: new Date(Number(time)), position: BigInt(position) };
}

function stopping(): Error {
  return unavailable("GATEWAY_STOPPING", "the gateway is stopping", {
    hint: "Call TailAudit again with the cursor of the last record; another gateway or the next start answers.",
  });
}
