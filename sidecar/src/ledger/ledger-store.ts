import { randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";

import { failedPrecondition, MeshError } from "@openhermit/errors";

import { ledgerError } from "./ledger-error.ts";
import { createOutboxStore, type OutboxStore } from "./outbox-store.ts";
import { createSnapshotStore, type SnapshotStore } from "./snapshot-store.ts";
import { createSpareFile, type SpareFile } from "./spare-file.ts";
import { createTranscriptStore, type TranscriptBounds, type TranscriptStore } from "./transcript-store.ts";
import { createTurnStore, type TurnStore } from "./turn-store.ts";

/** The sidecar's memory: what must survive a crash of its process. */
export interface Ledger {
  /** A UUID, new with each new file. */
  readonly id: string;
  /** The last applied snapshot of each agent. */
  readonly snapshots: SnapshotStore;
  /** The turns that were accepted. */
  readonly turns: TurnStore;
  /** What is still to be said to the gateway. */
  readonly outbox: OutboxStore;
  /** A copy of the newest transcripts. */
  readonly transcripts: TranscriptStore;
  /**
   * Runs the work in one transaction; inside another one it joins that. When it returns, the writes survive a crash of the
   * process. Errors: LEDGER_DISK_FULL, LEDGER_UNAVAILABLE; then nothing of it was written, nor of any other until there is room again.
   */
  transaction<T>(work: () => T): T;
  /** As `transaction`, for what brings work to its end: it may use the room that is kept on the disk for it. */
  closing<T>(work: () => T): T;
  /** Forgets what is over: acknowledged rows, turns that ended a minute ago; gives room back to the disk. */
  tidy(): void;
  /** Why the last write failed; undefined when it did not. While one is set, the ledger makes room every 2 s. */
  problem(): Error | undefined;
  /** Called when `problem` has changed. */
  onProblem(listener: () => void): void;
  /** Gives up the lock and closes the file. */
  close(): void;
}

/** How a ledger is opened. */
export interface LedgerOptions {
  /** The file. Created with mode 0600 when it does not exist. */
  path: string;
  /** Bounds of the transcript cache, in bytes. */
  transcripts: TranscriptBounds;
  /** The most bytes of the file; past it writes fail with LEDGER_DISK_FULL. Default: no bound but the disk. */
  maxBytes?: number;
}

const SCHEMA_VERSION = 1;
// A turn that is offered once more while its end is on the way must be known still.
const SETTLED_KEPT_MS = 60_000;
const PROBE_MS = 2000;
const PAGE_BYTES = 4096;
// 8 MiB of pages are kept for reuse.
const FREE_PAGES_KEPT = 2048;
// Less than the log has room for.
const VACUUMED_AT_ONCE = 256;

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (agent_id TEXT PRIMARY KEY, generation INTEGER NOT NULL, snapshot BLOB NOT NULL) STRICT;
CREATE TABLE turns (
  turn_id TEXT PRIMARY KEY,
  attempt INTEGER NOT NULL,
  state TEXT NOT NULL,            -- open, ended, abandoned
  tool_started INTEGER NOT NULL,
  request BLOB NOT NULL,          -- the RunTurn
  terminal BLOB,                  -- the TurnChange that ended it
  end_sequence INTEGER,           -- where that stands in the outbox
  ended_at INTEGER                -- Unix milliseconds
) STRICT;
CREATE INDEX turns_ended_at ON turns (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE outbox (
  sequence INTEGER PRIMARY KEY,
  turn_id TEXT,                   -- set on what vanishes with a turn that was given to somebody else
  entry BLOB NOT NULL             -- an OutboxEntry without its sequence
) STRICT;
CREATE TABLE sessions (
  session_id TEXT PRIMARY KEY,
  tail INTEGER NOT NULL,          -- the newest position
  bytes INTEGER NOT NULL,         -- of its entries here
  last_sequence INTEGER NOT NULL, -- of its newest entry in the outbox
  used_at INTEGER NOT NULL        -- Unix milliseconds
) STRICT;
CREATE TABLE transcript (
  session_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  opens_turn INTEGER NOT NULL,    -- 1 for a user's message
  entry BLOB NOT NULL,
  PRIMARY KEY (session_id, position)
) STRICT, WITHOUT ROWID;
`;

// synchronous NORMAL: a commit costs about 20 µs instead of a disk flush of milliseconds, and a crash of the process loses
// nothing. A power cut may lose the last commits, never the order of those before. That is safe: what was accepted is durable
// in the gateway too, and a turn that is missing here is offered again or ends interrupted; outbox numbers that were lost
// that way are noticed at the next Welcome (OutboxStore.realign).
const PRAGMAS = `
PRAGMA synchronous = NORMAL;
PRAGMA temp_store = MEMORY;
PRAGMA wal_autocheckpoint = 512;
PRAGMA journal_size_limit = 4194304;
`;

/**
 * Opens the ledger and locks it for this process. Errors: SIDECAR_ALREADY_RUNNING when another process holds it;
 * LEDGER_TOO_NEW; LEDGER_UNAVAILABLE when it is damaged or can't be opened; LEDGER_DISK_FULL.
 */
export function openLedger(options: LedgerOptions): Ledger {
  const { path } = options;
  const spare = createSpareFile(`${path}.spare`);
  let db: DatabaseSync | undefined;
  try {
    // The lock of a process that was killed is gone with it; a short wait covers one that is just exiting.
    db = new DatabaseSync(path, { timeout: 500 });
    const id = prepareFile(db, options.maxBytes);
    spare.fill();
    return createLedger(db, id, options, spare);
  } catch (error) {
    db?.close();
    throw ledgerError(error, path);
  }
}

function prepareFile(db: DatabaseSync, maxBytes: number | undefined): string {
  // Exclusive before WAL: the index of the log then lives in memory, and the lock is held until close.
  db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;");
  db.exec(PRAGMAS);
  db.exec("BEGIN IMMEDIATE");
  const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
  if (version > SCHEMA_VERSION) {
    db.exec("ROLLBACK");
    throw failedPrecondition("LEDGER_TOO_NEW", "the ledger was written by a newer version of the sidecar", {
      hint: "start the newer version again, or move the ledger file away to begin with an empty one",
    });
  }
  if (version === 0) {
    db.exec(SCHEMA);
    db.prepare("INSERT INTO meta (key, value) VALUES ('ledger_id', ?), ('acknowledged', 0)").run(randomUUID());
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }
  const id = String(db.prepare("SELECT value FROM meta WHERE key = 'ledger_id'").get()?.["value"]);
  db.exec("COMMIT");
  if (maxBytes !== undefined) db.exec(`PRAGMA max_page_count = ${Math.trunc(maxBytes / PAGE_BYTES)}`);
  return id;
}

function createLedger(db: DatabaseSync, id: string, options: LedgerOptions, spare: SpareFile): Ledger {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  const outbox = createOutboxStore(db);
  const transcripts = createTranscriptStore(db, options.transcripts, () => outbox.acknowledged);

  const attempt = <T>(work: () => T): T => {
    const outboxMark = outbox.mark();
    const transcriptMark = transcripts.mark();
    begin.run();
    try {
      outbox.prune();
      const result = work();
      transcripts.evict();
      commit.run();
      outbox.committed();
      return result;
    } catch (error) {
      outbox.reset(outboxMark);
      transcripts.reset(transcriptMark);
      // A full disk may have rolled back already.
      if (db.isTransaction) rollback.run();
      throw ledgerError(error, options.path);
    }
  };

  const turns = createTurnStore(db);
  const freePages = db.prepare("PRAGMA freelist_count");
  const free = (): number => Number(freePages.get()?.["freelist_count"] ?? 0);
  const touch = db.prepare("UPDATE meta SET value = value WHERE key = 'ledger_id'");
  let problem: Error | undefined;
  let onProblem: () => void = () => {};
  let probe: NodeJS.Timeout | undefined;

  const setProblem = (found: Error | undefined): void => {
    if (problem?.message === found?.message) return;
    problem = found;
    onProblem();
  };
  const probeLater = (): void => {
    probe ??= setTimeout(() => {
      probe = undefined;
      if (!db.isOpen || problem === undefined) return;
      try {
        reclaim();
      } catch {
        // Kept in `problem`.
      }
      if (problem !== undefined) probeLater();
    }, PROBE_MS).unref();
  };
  const noticed = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (isFault(error, "LEDGER_DISK_FULL") || isFault(error, "LEDGER_UNAVAILABLE")) {
        setProblem(error);
        probeLater();
      }
      throw error;
    }
  };
  const closing = <T>(work: () => T): T => {
    if (db.isTransaction) return work();
    try {
      return attempt(work);
    } catch (error) {
      if (!isFault(error, "LEDGER_DISK_FULL") || !spare.release()) throw error;
      return attempt(work);
    }
  };
  const checkpoint = (): void => db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  const forget = (): void => closing(() => turns.removeSettled(outbox.acknowledged, Date.now() - SETTLED_KEPT_MS));

  /** Gets along without more disk: what is over goes, the file shrinks, and the log is written into it and begins anew. */
  function reclaim(): void {
    try {
      spare.release();
      do {
        checkpoint();
        forget();
      } while (outbox.prunable);
      while (!spare.fill()) {
        if (free() === 0) return;
        db.exec(`PRAGMA incremental_vacuum(${VACUUMED_AT_ONCE})`);
        checkpoint();
      }
      attempt(() => touch.run());
      setProblem(undefined);
    } catch (error) {
      throw ledgerError(error, options.path);
    }
  }
  const transaction = <T>(work: () => T): T => {
    if (db.isTransaction) return work();
    // What room there is belongs to the ends of what runs, until there is enough again.
    if (problem !== undefined) throw problem;
    return noticed(() => attempt(work));
  };

  return {
    id,
    outbox,
    transcripts,
    snapshots: createSnapshotStore(db),
    turns,
    transaction,
    closing: (work) => (db.isTransaction ? work() : noticed(() => closing(work))),
    tidy() {
      if (problem !== undefined) return reclaim();
      do noticed(forget);
      while (outbox.prunable);
      spare.fill();
      if (free() > FREE_PAGES_KEPT) db.exec(`PRAGMA incremental_vacuum(${VACUUMED_AT_ONCE})`);
    },
    problem: () => problem,
    onProblem(listener) {
      onProblem = listener;
    },
    close() {
      clearTimeout(probe);
      if (db.isOpen) db.close();
    },
  };
}

function isFault(error: unknown, reason: string): error is MeshError {
  return error instanceof MeshError && error.reason === reason;
}
