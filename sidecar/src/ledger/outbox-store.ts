import type { DatabaseSync } from "node:sqlite";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { resourceExhausted } from "@openhermit/errors";
import { OutboxEntrySchema, type OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";

/** What an entry says. */
export type OutboxBody = OutboxEntry["body"];

/** An entry and its bytes on disk. */
export interface SizedEntry {
  readonly entry: OutboxEntry;
  readonly bytes: number;
}

/** What a change of the numbers took away. */
export interface Realigned {
  /** The entries that were dropped, in order. */
  dropped: OutboxEntry[];
  /** Whether entries have other numbers now. */
  renumbered: boolean;
}

/** The log of everything durable that is still to be said to the gateway. */
export interface OutboxStore {
  /** The number of the newest entry; 0 before the first. */
  readonly last: number;
  /** Everything up to here is stored by the gateway. */
  readonly acknowledged: number;
  /** The bytes of the entries on disk. */
  readonly bytes: number;
  /** Adds an entry, inside a transaction, and returns its number. With a turn, it vanishes should the turn be given to somebody else. */
  append(body: OutboxBody, turnId?: string): number;
  /** Entries after a number, in order, from disk: at most `limit` and about `maxBytes`, at least one if there is any. */
  read(after: number, limit: number, maxBytes: number): SizedEntry[];
  /** Everything up to here is stored by the gateway; the rows go with the next transactions. */
  acknowledge(sequence: number): void;
  /** Whether acknowledged rows are still on disk. */
  readonly prunable: boolean;
  /**
   * Fits the log to the gateway's cursor, inside a transaction: entries up to the cursor are acknowledged, those of dead turns
   * above it are dropped, and the rest is numbered from cursor + 1 on. `first` is true for the first time since the ledger was opened.
   */
  realign(cursor: number, deadTurns: ReadonlySet<string>, first: boolean): Realigned;
  /** Called with the new entries after each commit. */
  onAppended(listener: (entries: readonly SizedEntry[]) => void): void;
  /** For the transaction: deletes what is acknowledged, at most 1,000 rows. */
  prune(): void;
  /** For the transaction: the counters, to be given to reset should it fail. */
  mark(): OutboxMark;
  /** For the transaction: takes back what did not commit. */
  reset(mark: OutboxMark): void;
  /** For the transaction: it has committed. */
  committed(): void;
}

/** The counters at some time. */
export interface OutboxMark {
  readonly last: number;
  readonly acknowledged: number;
  readonly pruned: number;
  readonly bytes: number;
}

// A long outbox goes in parts: neither the event loop nor a disk that is nearly full has to bear it at once.
const PRUNED_AT_ONCE = 1000;
// A message on the link has at most 4 MiB.
const MAX_ENTRY_BYTES = 3 * 1024 * 1024;

/** The table of the outbox. */
export function createOutboxStore(db: DatabaseSync): OutboxStore {
  const append = db.prepare("INSERT INTO outbox (sequence, turn_id, entry) VALUES (?, ?, ?)");
  const read = db.prepare("SELECT sequence, entry FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?");
  const above = db.prepare("SELECT sequence, turn_id FROM outbox WHERE sequence > ? ORDER BY sequence");
  const one = db.prepare("SELECT entry FROM outbox WHERE sequence = ?");
  const renumber = db.prepare("UPDATE outbox SET sequence = ? WHERE sequence = ?");
  const remove = db.prepare("DELETE FROM outbox WHERE sequence = ?");
  const sizeUpTo = db.prepare("SELECT coalesce(sum(length(entry)), 0) AS bytes FROM outbox WHERE sequence <= ?");
  const prune = db.prepare("DELETE FROM outbox WHERE sequence <= ?");
  const setAcknowledged = db.prepare("UPDATE meta SET value = ? WHERE key = 'acknowledged'");
  const start = db
    .prepare(
      "SELECT (SELECT value FROM meta WHERE key = 'acknowledged') AS acknowledged, coalesce(max(sequence), 0) AS last, min(sequence) AS oldest, " +
        "coalesce(sum(length(entry)), 0) AS bytes FROM outbox",
    )
    .get() as { acknowledged: number; last: number; oldest: number | null; bytes: number };

  let acknowledged = start.acknowledged;
  let pruned = start.oldest === null ? acknowledged : Math.min(acknowledged, start.oldest - 1);
  let last = Math.max(start.last, acknowledged);
  let bytes = start.bytes;
  const lastAtOpen = last;
  let appended: SizedEntry[] = [];
  let listener: (entries: readonly SizedEntry[]) => void = () => {};

  const decode = (row: Record<string, unknown>): OutboxEntry => {
    const entry = fromBinary(OutboxEntrySchema, row["entry"] as Uint8Array);
    entry.sequence = BigInt(row["sequence"] as number);
    return entry;
  };

  return {
    get last() {
      return last;
    },
    get acknowledged() {
      return acknowledged;
    },
    get bytes() {
      return bytes;
    },
    get prunable() {
      return acknowledged > pruned;
    },
    append(body, turnId) {
      const entry = create(OutboxEntrySchema, { body });
      const row = toBinary(OutboxEntrySchema, entry);
      if (row.length > MAX_ENTRY_BYTES) {
        throw resourceExhausted("ENTRY_TOO_LARGE", `a record of ${row.length} bytes is too large for the mesh`, {
          hint: `keep messages and answers below ${MAX_ENTRY_BYTES} bytes`,
        });
      }
      append.run(last + 1, turnId ?? null, row);
      last += 1;
      bytes += row.length;
      entry.sequence = BigInt(last);
      appended.push({ entry, bytes: row.length });
      return last;
    },
    read(after, limit, maxBytes) {
      const entries: SizedEntry[] = [];
      let size = 0;
      // Row by row: one may have megabytes.
      for (const row of read.iterate(after, limit)) {
        const length = (row["entry"] as Uint8Array).length;
        size += length;
        if (entries.length > 0 && size > maxBytes) break;
        entries.push({ entry: decode(row), bytes: length });
      }
      return entries;
    },
    acknowledge(sequence) {
      acknowledged = Math.max(acknowledged, Math.min(sequence, last));
    },
    realign(cursor, deadTurns, first) {
      // A power cut may take the last commits: the gateway then has numbers this ledger knows nothing of, and what was
      // written since the ledger was opened is not what the gateway has under those numbers.
      const floor = first && cursor > lastAtOpen ? lastAtOpen : cursor;
      const dropped: OutboxEntry[] = [];
      const kept: number[] = [];
      for (const { sequence: number, turn_id: turnId } of above.all(floor)) {
        const sequence = number as number;
        if (turnId !== null && deadTurns.has(turnId as string)) {
          const row = one.get(sequence)?.["entry"] as Uint8Array;
          dropped.push(decode({ sequence, entry: row }));
          bytes -= row.length;
          remove.run(sequence);
        } else {
          kept.push(sequence);
        }
      }
      // Upwards from the newest, downwards from the oldest: so a number is always free before it is taken.
      const moves = kept.map((from, index) => ({ from, to: cursor + 1 + index })).filter(({ from, to }) => from !== to);
      for (const { from, to } of moves.filter((move) => move.to < move.from)) renumber.run(to, from);
      for (const { from, to } of moves.filter((move) => move.to > move.from).toReversed()) renumber.run(to, from);
      last = cursor + kept.length;
      acknowledged = cursor;
      pruned = Math.min(pruned, cursor);
      setAcknowledged.run(cursor);
      return { dropped, renumbered: moves.length > 0 || dropped.length > 0 };
    },
    onAppended(added) {
      listener = added;
    },
    prune() {
      if (acknowledged <= pruned) return;
      const upTo = Math.min(acknowledged, pruned + PRUNED_AT_ONCE);
      bytes -= Number(sizeUpTo.get(upTo)?.["bytes"] ?? 0);
      prune.run(upTo);
      setAcknowledged.run(acknowledged);
      pruned = upTo;
    },
    mark: () => ({ last, acknowledged, pruned, bytes }),
    reset(mark) {
      ({ last, acknowledged, pruned, bytes } = mark);
      appended = [];
    },
    committed() {
      if (appended.length === 0) return;
      const entries = appended;
      appended = [];
      listener(entries);
    },
  };
}
