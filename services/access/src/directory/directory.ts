import type { Database } from "@openhermit/postgres";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { createDirectoryContent, digestOf, NO_ROWS, type DirectoryContent } from "./directory-content.ts";
import { readDirectoryRows } from "./directory-store.ts";

/** Everybody who holds rights, in memory, so that a call asks no database what its caller may do. */
export interface Directory extends DirectoryContent {
  /**
   * Takes out all grants on these agents at once, before it is read that they are gone. What is read from now on counts
   * again, so a grant that is still stored then is back.
   */
  dropGrantsOn(agentIds: Iterable<string>): void;
  /** Whether it was ever read, and what it says is not known to be old for more than 5 s. */
  isReliable(): boolean;
  /** Reads again soon. */
  poke(): void;
  /** Resolves when a reading that began after this call has ended. */
  refresh(): Promise<void>;
  /** Calls back after each reading that found something else than the one before. Returns how to stop that. */
  onChanged(callback: () => void): () => void;
  close(): Promise<void>;
}

/** What a directory is made of. */
export interface DirectoryOptions {
  database: Database;
  log: Log;
  /** A clock that never goes back, ms. */
  now?: () => number;
}

/** A safety net: changes are announced. */
const PERIOD_MS = 30_000;
/** How long rights that may have changed still count. */
const TRUST_MS = 5_000;

/** Reads the directory when first asked to, when poked, and from then on every 30 s. */
export function createDirectory(options: DirectoryOptions): Directory {
  const { database, log, now = () => performance.now() } = options;
  const listeners = new Set<() => void>();
  let content = createDirectoryContent(NO_ROWS);
  /** Of what was read; empty: never read. */
  let digest = "";
  /** Agents whose grants were taken out since the newest reading began. */
  let dropped: string[] = [];
  /** Grows with whatever makes the content doubtful. */
  let doubts = 0;
  let doubtfulSince: number | undefined;
  let task: PeriodicTask | undefined;

  const doubt = (): void => {
    doubts += 1;
    doubtfulSince ??= now();
  };
  const endStatus = database.onStatus(({ ready }) => {
    // Notices are lost from here on; the subscription that follows pokes.
    if (!ready) doubt();
  });

  async function run(): Promise<void> {
    const doubtsBefore = doubts;
    dropped = [];
    const rows = await readDirectoryRows(database);
    // What became doubtful while this reading ran is read once more.
    if (doubts === doubtsBefore && database.status().ready) doubtfulSince = undefined;
    // What was taken out meanwhile is in the rows, and not in what they make: the next reading counts as news.
    const nextDigest = `${digestOf(rows)}${dropped.length > 0 ? " but" : ""}`;
    if (nextDigest === digest) return;
    digest = nextDigest;
    content = createDirectoryContent(rows);
    content.dropGrantsOn(dropped);
    for (const listener of listeners) listener();
  }

  const reader = (): PeriodicTask =>
    (task ??= createPeriodicTask({
      name: "read-directory",
      periodMs: PERIOD_MS,
      run,
      onError(error) {
        doubt();
        log.debug({ err: error }, "directory not read");
      },
    }));

  return {
    member: (id) => content.member(id),
    serviceAccount: (id) => content.serviceAccount(id),
    isTeam: (id) => content.isTeam(id),
    teamsOf: (subject) => content.teamsOf(subject),
    roleOf: (subject) => content.roleOf(subject),
    grantRole: (subject, agentId) => content.grantRole(subject, agentId),
    highestGrant: (subject) => content.highestGrant(subject),
    dropGrantsOn(agentIds) {
      const gone = [...agentIds];
      dropped.push(...gone);
      content.dropGrantsOn(gone);
      // Another word than any reading has: should the grants still be stored, they are back with the next one.
      if (digest !== "") digest = "changed since";
      for (const listener of listeners) listener();
    },
    isReliable: () => digest !== "" && (doubtfulSince === undefined || now() - doubtfulSince < TRUST_MS),
    poke() {
      doubt();
      reader().poke();
    },
    refresh: () => reader().runNow(),
    onChanged(callback) {
      listeners.add(callback);
      return () => void listeners.delete(callback);
    },
    async close() {
      endStatus();
      listeners.clear();
      await task?.stop();
    },
  };
}
