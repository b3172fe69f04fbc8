import type { DatabaseSync } from "node:sqlite";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { TranscriptEntrySchema, type TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";

/** How much of the transcripts is kept here, in bytes. */
export interface TranscriptBounds {
  /** Of one session: past it the oldest turns of the session are forgotten here. */
  sessionBytes: number;
  /** Of all: past it the sessions that were not used for longest are forgotten here. */
  totalBytes: number;
}

/** A copy of the newest transcripts. The record itself is with the gateway. */
export interface TranscriptStore {
  /** The newest position of a session here; 0 when there is none. */
  tail(sessionId: string): number;
  /** What is here of a session, oldest first. */
  read(sessionId: string): TranscriptEntry[];
  /** Adds an entry, inside a transaction. `sequence` is its number in the outbox, 0 for one that came from the gateway. */
  add(entry: TranscriptEntry, sequence: number): void;
  /** Forgets entries, inside a transaction: those given and all that follow them in their session. */
  retract(entries: readonly { sessionId: string; position: bigint }[]): void;
  /** Keeps a session from being forgotten. */
  pin(sessionId: string): void;
  /** Undoes one pin. */
  unpin(sessionId: string): void;
  /** The bytes of all entries here. */
  readonly bytes: number;
  /** After the outbox was numbered anew: entries above `cursor` count as standing at `last`. */
  realign(cursor: number, last: number): void;
  /** For the transaction: forgets what is over the bound. */
  evict(): void;
  /** For the transaction: the counter, to be given to reset should it fail. */
  mark(): number;
  /** For the transaction: takes back what did not commit. */
  reset(mark: number): void;
}

// Evicting to below the bound makes evictions rare.
const EVICT_TO = 0.9;

/** The tables of sessions and transcripts. `acknowledged` tells what the gateway has: nothing else is ever forgotten. */
export function createTranscriptStore(
  db: DatabaseSync,
  bounds: TranscriptBounds,
  acknowledged: () => number,
): TranscriptStore {
  const getSession = db.prepare("SELECT tail, bytes FROM sessions WHERE session_id = ?");
  const putSession = db.prepare(
    "INSERT INTO sessions (session_id, tail, bytes, last_sequence, used_at) VALUES (?1, ?2, ?3, ?4, ?5) " +
      "ON CONFLICT (session_id) DO UPDATE SET tail = ?2, bytes = ?3, last_sequence = max(last_sequence, ?4), used_at = ?5",
  );
  const add = db.prepare(
    "INSERT OR REPLACE INTO transcript (session_id, position, opens_turn, entry) VALUES (?, ?, ?, ?)",
  );
  const read = db.prepare("SELECT entry FROM transcript WHERE session_id = ? ORDER BY position");
  const sizes = db.prepare(
    "SELECT position, opens_turn, length(entry) AS bytes FROM transcript WHERE session_id = ? ORDER BY position DESC",
  );
  const trim = db.prepare("DELETE FROM transcript WHERE session_id = ? AND position < ?");
  const cut = db.prepare("DELETE FROM transcript WHERE session_id = ? AND position >= ?");
  const remaining = db.prepare(
    "SELECT coalesce(max(position), 0) AS tail, coalesce(sum(length(entry)), 0) AS bytes FROM transcript WHERE session_id = ?",
  );
  const setSize = db.prepare("UPDATE sessions SET tail = ?, bytes = ? WHERE session_id = ?");
  const oldest = db.prepare("SELECT session_id, bytes FROM sessions WHERE last_sequence <= ? ORDER BY used_at, rowid");
  const removeEntries = db.prepare("DELETE FROM transcript WHERE session_id = ?");
  const removeSession = db.prepare("DELETE FROM sessions WHERE session_id = ?");
  const realign = db.prepare("UPDATE sessions SET last_sequence = ? WHERE last_sequence > ?");

  const pins = new Map<string, number>();
  let total = Number(db.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM sessions").get()?.["bytes"] ?? 0);

  /** Forgets the oldest turns of a session, so that three quarters of its bound are left; never a part of a turn. */
  const shorten = (sessionId: string, tail: number): number => {
    let kept = 0;
    let from: number | undefined;
    for (const row of sizes.iterate(sessionId)) {
      kept += row["bytes"] as number;
      if (from !== undefined && kept > bounds.sessionBytes * 0.75) break;
      if (row["opens_turn"] === 1) from = row["position"] as number;
    }
    if (from !== undefined) trim.run(sessionId, from);
    const bytes = Number(remaining.get(sessionId)?.["bytes"] ?? 0);
    setSize.run(tail, bytes, sessionId);
    return bytes;
  };

  return {
    tail: (sessionId) => Number(getSession.get(sessionId)?.["tail"] ?? 0),
    read: (sessionId) =>
      read.all(sessionId).map((row) => fromBinary(TranscriptEntrySchema, row["entry"] as Uint8Array)),
    add(entry, sequence) {
      const row = toBinary(TranscriptEntrySchema, entry);
      const session = getSession.get(entry.sessionId);
      const tail = Math.max(Number(session?.["tail"] ?? 0), Number(entry.position));
      const bytes = Number(session?.["bytes"] ?? 0) + row.length;
      add.run(entry.sessionId, entry.position, entry.entry.case === "userMessage" ? 1 : 0, row);
      putSession.run(entry.sessionId, tail, bytes, sequence, Date.now());
      total += row.length;
      if (bytes > bounds.sessionBytes) total -= bytes - shorten(entry.sessionId, tail);
    },
    retract(entries) {
      for (const { sessionId, position } of entries) {
        const before = Number(getSession.get(sessionId)?.["bytes"] ?? 0);
        cut.run(sessionId, position);
        const rest = remaining.get(sessionId) as { tail: number; bytes: number };
        // With nothing left the tail is unknown: the next turn fetches what the gateway has.
        if (rest.tail === 0) removeSession.run(sessionId);
        else setSize.run(rest.tail, rest.bytes, sessionId);
        total -= before - rest.bytes;
      }
    },
    pin(sessionId) {
      pins.set(sessionId, (pins.get(sessionId) ?? 0) + 1);
    },
    unpin(sessionId) {
      const left = (pins.get(sessionId) ?? 1) - 1;
      if (left === 0) pins.delete(sessionId);
      else pins.set(sessionId, left);
    },
    get bytes() {
      return total;
    },
    realign(cursor, last) {
      realign.run(last, cursor);
    },
    evict() {
      if (total <= bounds.totalBytes) return;
      for (const row of oldest.all(acknowledged())) {
        if (total <= bounds.totalBytes * EVICT_TO) return;
        const sessionId = String(row["session_id"]);
        if (pins.has(sessionId)) continue;
        removeEntries.run(sessionId);
        removeSession.run(sessionId);
        total -= Number(row["bytes"]);
      }
    },
    mark: () => total,
    reset(mark) {
      total = mark;
    },
  };
}
