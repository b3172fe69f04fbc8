import { MeshError } from "@openhermit/errors";
import type { Database } from "@openhermit/postgres";
import { Role } from "@openhermit/protocol/access/v1/subject";
import type { Log } from "@openhermit/telemetry";
import { LRUCache } from "lru-cache";
import { accessUnavailable } from "../access-error.ts";
import type { Directory } from "../directory/directory.ts";
import type { Principal } from "../principal.ts";
import { hashSecret } from "./one-time-code.ts";
import { readSession, readSessionIds, touchSession, type StoredSession } from "./session-store.ts";
import { sessionBounds, sessionPrincipal } from "./session.ts";

/** Knows which browser sessions there are. */
export interface SessionVerifier {
  /** Who a session stands for; undefined when there is none. Errors: ACCESS_UNAVAILABLE while that can't be known. */
  verify(secret: string): Promise<Principal | undefined>;
  /** Whether a session that was verified here has not ended since. From memory. */
  isCurrent(principal: Principal): boolean;
  /** Forgets sessions that have ended, hex. */
  forget(sessionIds: readonly string[]): void;
  /** Finds out which sessions ended while nobody was told, after the connection for notices was lost. */
  recheck(): Promise<void>;
}

/** Sessions kept in memory; those used least recently go, and are read again when they come. */
const MAX_SESSIONS = 10_000;
/** How long a session is taken from memory; its end by a person is announced. Also the grain of its last use. */
const TRUST_MS = 60_000;

interface Known {
  readonly principal: Principal;
  /** When it was read; -Infinity: before something may have been missed. */
  readTime: number;
}

/** Makes the verifier, with an empty memory. */
export function createSessionVerifier(options: {
  database: Database;
  log: Log;
  directory: Directory;
  now: () => Date;
}): SessionVerifier {
  const { database, log, directory, now } = options;
  const known = new LRUCache<string, Known>({ max: MAX_SESSIONS });
  /** Grows when sessions end: what was read before may hold one of them. */
  let endings = 0;

  async function read(idHash: Buffer, time: Date): Promise<StoredSession | undefined> {
    try {
      return await readSession(database, idHash, sessionBounds(time));
    } catch (error) {
      if (!(error instanceof MeshError) || error.code !== "unavailable") throw error;
      throw accessUnavailable();
    }
  }

  async function touch(session: StoredSession, time: Date): Promise<void> {
    if (time.getTime() - session.lastUseTime.getTime() < TRUST_MS) return;
    // A session whose use can't be written is still one.
    await touchSession(database, session.idHash, time).catch((error: unknown) =>
      log.debug({ err: error }, "use of session not written"),
    );
  }

  const isAlive = ({ principal: { credential } }: Known): boolean =>
    credential.kind === "session" && credential.expireTime > now();

  return {
    async verify(secret) {
      const idHash = hashSecret(secret);
      const id = idHash.toString("hex");
      const time = now();
      const held = known.get(id);
      const isFresh = held !== undefined && time.getTime() - held.readTime < TRUST_MS && directory.isReliable();
      if (isFresh) return isAlive(held) ? held.principal : undefined;

      const before = endings;
      const session = await read(idHash, time);
      if (session === undefined) {
        known.delete(id);
        return undefined;
      }
      await touch(session, time);
      const principal = held?.principal ?? sessionPrincipal(session);
      // What ended while it was read is read again next time, and does not count as current until then.
      if (endings === before) known.set(id, { principal, readTime: time.getTime() });
      return principal;
    },
    isCurrent(principal) {
      if (principal.credential.kind !== "session") return false;
      const held = known.get(principal.credential.sessionId);
      return held !== undefined && isAlive(held) && directory.roleOf(principal.subject) !== Role.UNSPECIFIED;
    },
    forget(sessionIds) {
      endings += 1;
      for (const id of sessionIds) known.delete(id);
    },
    async recheck() {
      endings += 1;
      const held = [...known.entries()];
      for (const [, entry] of held) entry.readTime = Number.NEGATIVE_INFINITY;
      if (held.length === 0) return;
      const ids = held.map(([id]) => id);
      const left = await readSessionIds(database, ids);
      for (const id of ids) if (!left.has(id)) known.delete(id);
    },
  };
}
