import type { Database, Queryable } from "@openhermit/postgres";
import { lockAccess } from "../access-lock-store.ts";
import type { LoginOptions } from "./login-options.ts";
import { createLoginLimits, type LoginLimits } from "./login-limits.ts";
import { createPasswordHasher, type PasswordHasher } from "./password-hasher.ts";
import { createSessionVerifier, type SessionVerifier } from "./session-verifier.ts";

/** What the ways to come in share. */
export interface LoginParts extends Required<LoginOptions> {
  readonly limits: LoginLimits;
  readonly sessions: SessionVerifier;
  /** Runs the work in a transaction that nobody else changes access beside. */
  write<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** After a change: makes it known here at once; the other gateways hear the notices. */
  changed(endedSessions: readonly string[]): Promise<void>;
}

/** Makes the parts, with what was left to defaults. */
export function createLoginParts(options: LoginOptions): LoginParts {
  const { database, log, directory } = options;
  const hasher: PasswordHasher = options.hasher ?? createPasswordHasher();
  const now = options.now ?? (() => new Date());
  const sessions = createSessionVerifier({ database, log, directory, now });
  return {
    ...options,
    hasher,
    now,
    sessions,
    limits: createLoginLimits(() => now().getTime()),
    write: (work) => locked(database, work),
    async changed(endedSessions) {
      sessions.forget(endedSessions);
      // The change is stored; memory follows by itself if the database goes away in this moment.
      await directory.refresh().catch((error: unknown) => log.debug({ err: error }, "directory not read"));
    },
  };
}

function locked<T>(database: Database, work: (tx: Queryable) => Promise<T>): Promise<T> {
  return database.transaction(async (tx) => {
    await lockAccess(tx);
    return work(tx);
  });
}
