import { setTimeout as delay } from "node:timers/promises";
import { failedPrecondition, invalidArgument, MeshError, toError } from "@openhermit/errors";
import type { Database, Sql } from "@openhermit/postgres";
import type { OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";
import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { rebase } from "./cursor.ts";
import { flushShares, isBadData, isStale } from "./ingest-store.ts";
import { readCursors } from "./link-store.ts";
import { gatewayStopping, superseded } from "./mesh-errors.ts";
import type { IngestBatch } from "./mesh-ports.ts";
import type { OutboxLane } from "./outbox-lane.ts";

/** About how many entries one flush takes. */
const FLUSH_ENTRIES = 1000;
/** About how many bytes of text one flush takes. */
const FLUSH_BYTES = 8 * 1024 * 1024;
const RETRY = { initialMs: 50, maxMs: 1000 };

/** The entries `after + 1 … upTo` of one lane in a flush. */
interface LaneShare {
  readonly lane: OutboxLane;
  readonly sidecarId: string;
  readonly epoch: bigint;
  readonly ledgerId: string;
  readonly after: number;
  readonly upTo: number;
  readonly entries: readonly OutboxEntry[];
}

/** Group commit over all sidecars of the gateway. */
export interface Ingest {
  /** Says that a lane has entries waiting. They are flushed at once while no flush is in flight, else with the next. */
  wake(lane: OutboxLane): void;
  /** Ends after the flush in flight, or after the grace; what was not stored is sent again by the sidecars. */
  close(graceMs: number): Promise<void>;
}

/** Creates the ingest. One flush is in flight at a time, with one statement. */
export function createIngest(options: {
  database: Database;
  statements(batch: IngestBatch): Sql[];
  ingested(batch: IngestBatch): void;
  log: Log;
}): Ingest {
  const { database, log } = options;
  /** Lanes with waiting entries, in the order of their turn. */
  const ready = new Set<OutboxLane>();
  const closing = new AbortController();
  let active = false;
  let running: Promise<void> | undefined;

  /** The statements of the domains. They are made in memory, so a throw can only lie in the data. */
  const statementsOf = (batch: IngestBatch): Sql[] => {
    try {
      return options.statements(batch);
    } catch (error) {
      throw invalidArgument("ENTRY_INVALID", toError(error).message, { cause: error });
    }
  };

  const take = (): LaneShare[] => {
    const shares: LaneShare[] = [];
    let entries = 0;
    let bytes = 0;
    for (const lane of ready) {
      ready.delete(lane);
      if (lane.closed || lane.waiting.length === 0) continue;
      let count = 0;
      while (count < lane.waiting.length && (entries + count < FLUSH_ENTRIES || count === 0)) {
        bytes += textBytes(lane.waiting[count] as OutboxEntry);
        count += 1;
        if (bytes >= FLUSH_BYTES) break;
      }
      entries += count;
      shares.push(takeShare(lane, count));
      // The rest comes after the lanes that have waited for longer.
      if (lane.waiting.length > 0) ready.add(lane);
      if (entries >= FLUSH_ENTRIES || bytes >= FLUSH_BYTES) break;
    }
    return shares;
  };

  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const shares = take();
      if (shares.length === 0) break;
      try {
        await store(shares);
      } catch (error) {
        log.error({ error }, "flush ended with a defect");
        for (const { lane } of shares) lane.onRefused(toError(error));
      }
    }
    active = false;
  };

  /** Stores the shares, for as long as it takes: returns when each is stored, fenced or refused, or on close. */
  const store = async (first: LaneShare[]): Promise<void> => {
    let shares = first;
    let unconfirmed = false;
    const backoff = createBackoff(RETRY);
    while (shares.length > 0 && !closing.signal.aborted) {
      try {
        const batch = batchOf(shares);
        await flushShares(database, shares, statementsOf(batch));
        settle(shares, batch);
        return;
      } catch (error) {
        if (isStale(error)) {
          shares = await rebased(shares, unconfirmed, backoff.next).catch(() => shares);
        } else if (isRefusal(error)) {
          await isolate(shares, toError(error));
          return;
        } else {
          // Whether the statement was committed is not known: the cursors will tell.
          unconfirmed = true;
          if (backoff.attempts % 30 === 0) log.warn({ error, entries: countOf(shares) }, "flush failed, retrying");
          await delay(backoff.next(), undefined, { signal: closing.signal, ref: false }).catch(() => {});
        }
      }
    }
  };

  /** Halves until the entry that can't be stored is alone; everything else is stored. */
  const isolate = async (shares: LaneShare[], error: Error): Promise<void> => {
    const only = shares[0] as LaneShare;
    if (shares.length > 1) {
      const middle = shares.length >> 1;
      await store(shares.slice(0, middle));
      await store(shares.slice(middle));
    } else if (only.entries.length > 1) {
      const middle = only.entries.length >> 1;
      await store([{ ...only, upTo: only.after + middle, entries: only.entries.slice(0, middle) }]);
      // The second half may only follow the first.
      if (only.lane.stored >= only.after + middle) {
        await store([{ ...only, after: only.after + middle, entries: only.entries.slice(middle) }]);
      }
    } else {
      refuse(only, entryRefused(only.sidecarId, only.upTo, error));
    }
  };

  /** Finds out what is stored already, drops what is fenced, and returns what is left to be stored. */
  const rebased = async (shares: LaneShare[], unconfirmed: boolean, nextDelay: () => number): Promise<LaneShare[]> => {
    const stored = await readCursors(
      database,
      shares.map((share) => share.sidecarId),
    );
    const left: LaneShare[] = [];
    const confirmed: LaneShare[] = [];
    for (const share of shares) {
      const verdict = rebase(share, stored.get(share.sidecarId));
      switch (verdict.kind) {
        case "fenced":
          refuse(share, superseded(share.sidecarId));
          break;
        case "gap":
          refuse(share, cursorWentBack(share.sidecarId, verdict.cursor));
          break;
        case "stored":
          if (unconfirmed && verdict.exactly) confirmed.push(share);
          else acknowledge(share);
          break;
        case "rest":
          left.push({ ...share, after: verdict.after, entries: share.entries.slice(verdict.after - share.after) });
          break;
      }
    }
    if (confirmed.length > 0) settle(confirmed, batchOf(confirmed));
    // Nothing to drop and nothing moved: another gateway is at it right now.
    if (left.length === shares.length) await delay(nextDelay(), undefined, { ref: false });
    return left;
  };

  const settle = (shares: readonly LaneShare[], batch: IngestBatch): void => {
    try {
      options.ingested(batch);
    } catch (error) {
      log.error({ error }, "fan-out of stored entries failed");
    }
    for (const share of shares) acknowledge(share);
  };

  const acknowledge = ({ lane, upTo }: LaneShare): void => {
    if (upTo <= lane.stored) return;
    lane.stored = upTo;
    lane.onStored();
  };

  const refuse = ({ lane }: LaneShare, error: MeshError): void => {
    if (lane.closed) return;
    log.warn({ error, sidecar_id: lane.sidecarId }, "entries of a sidecar were refused");
    lane.onRefused(error);
  };

  return {
    wake(lane) {
      ready.add(lane);
      if (active) return;
      active = true;
      running = run();
    },
    async close(graceMs) {
      await Promise.race([running, delay(graceMs, undefined, { ref: false })]);
      closing.abort(gatewayStopping());
    },
  };
}

function takeShare(lane: OutboxLane, count: number): LaneShare {
  const after = lane.taken - lane.waiting.length;
  let entries = lane.waiting;
  if (count === entries.length) {
    lane.waiting = [];
  } else {
    lane.waiting = entries.slice(count);
    entries = entries.slice(0, count);
  }
  const { sidecarId, epoch, ledgerId } = lane;
  return { lane, sidecarId, epoch, ledgerId, after, upTo: after + count, entries };
}

function batchOf(shares: readonly LaneShare[]): IngestBatch {
  const batch: IngestBatch = { events: [], entries: [], turnChanges: [] };
  for (const { sidecarId, entries } of shares) {
    for (const { body } of entries) {
      if (body.case === "event") batch.events.push({ sidecarId, event: body.value });
      else if (body.case === "transcriptEntry") batch.entries.push(body.value);
      else if (body.case === "turnChange") batch.turnChanges.push(body.value);
    }
  }
  return batch;
}

/** About how much text an entry carries; only what can be large is looked at. */
function textBytes({ body }: OutboxEntry): number {
  const base = 300;
  if (body.case === "turnChange") return base + body.value.answer.length;
  if (body.case === "transcriptEntry") {
    const { entry } = body.value;
    return entry.case === undefined ? base : base + entry.value.text.length;
  }
  if (body.case === "event") {
    const { detail } = body.value;
    if (detail.case === "messageIn" || detail.case === "messageOut") return base + detail.value.text.length;
  }
  return base;
}

function countOf(shares: readonly LaneShare[]): number {
  return shares.reduce((sum, share) => sum + share.entries.length, 0);
}

/** Whether the failure lies in what an entry says, so that trying again can't help. */
function isRefusal(error: unknown): boolean {
  return isBadData(error) || (error instanceof MeshError && error.code === "invalid_argument");
}

function entryRefused(sidecarId: string, sequence: number, cause: Error): MeshError {
  return invalidArgument(
    "ENTRY_REFUSED",
    `entry ${sequence} of sidecar "${sidecarId}" can't be stored: ${cause.message}`,
    {
      hint: "Everything before it is stored. Correct the entry or start a new ledger.",
      fields: { sidecar_id: sidecarId, sequence: String(sequence) },
      cause,
    },
  );
}

function cursorWentBack(sidecarId: string, cursor: number): MeshError {
  return failedPrecondition(
    "SEQUENCE_GAP",
    `the stored cursor of sidecar "${sidecarId}" has gone back to ${cursor}: the database has lost entries`,
    { hint: "Attach again; if it happens again, start a new ledger.", fields: { sidecar_id: sidecarId } },
  );
}
