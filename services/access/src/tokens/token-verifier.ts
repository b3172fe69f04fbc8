import { hash } from "node:crypto";
import { MeshError } from "@openhermit/errors";
import { isToken } from "@openhermit/ids";
import type { Database } from "@openhermit/postgres";
import { LRUCache } from "lru-cache";
import { accessUnavailable } from "../access-error.ts";
import type { Principal, Scope } from "../principal.ts";
import { splitScope } from "../rights/scope.ts";
import { readEndedTokens, readLiveToken } from "./token-store.ts";
import type { StoredToken } from "./token.ts";
import type { TokenHash } from "./token-hash.ts";
import type { TokenUses } from "./token-uses.ts";

/** Says whom tokens stand for, from memory where it can. */
export interface TokenVerifier {
  /** Undefined for a token that is not valid, or no longer. Errors: ACCESS_UNAVAILABLE. */
  verify(token: string, address: string): Promise<Principal | undefined>;
  /** Whether a token that was verified still works, as far as is known. From memory. */
  isCurrent(accessor: string, expireTime: Date): boolean;
  /** A token was revoked. */
  forget(accessor: string): void;
  /** Notices may have been lost: what was verified is verified again. */
  doubt(): void;
  /** Finds out which tokens that are kept, or that something runs with, ended while nobody was told. */
  recheck(): Promise<void>;
  /** How many verdicts are kept. */
  readonly size: number;
}

/** What a verifier is made of. */
export interface TokenVerifierOptions {
  database: Database;
  hash: TokenHash;
  uses: TokenUses;
  /** Whether what is in memory can be trusted. */
  isReliable(): boolean;
  /** Whether the people behind a token may still act; a promise where that must be looked up. */
  mayAct(principal: Principal): boolean | Promise<boolean>;
  /** Called for each token that turned out to have ended. */
  onEnded(accessor: string): void;
  /** The most verdicts kept of each kind. Default 10,000. */
  maxKept?: number;
  /** The time of day, ms. */
  now?: () => number;
}

interface Verified {
  readonly principal: Principal;
  readonly accessor: string;
  readonly expireMs: number;
  /** When a use was last noted, ms; 0: never. */
  usedMs: number;
}

const MAX_KEPT = 10_000;
const USE_PERIOD_MS = 60_000;
/** How long a token that something still runs with is looked up on doubt, ms. */
const WATCHED_MS = 60_000;

/** Makes a verifier. It keeps no token: its memory is keyed by digests. */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { database, uses, isReliable, mayAct, onEnded, maxKept = MAX_KEPT, now = Date.now } = options;
  const keyOf = new Map<string, string>();
  const verified = new LRUCache<string, Verified>({
    max: maxKept,
    dispose: ({ accessor }) => void keyOf.delete(accessor),
    noDisposeOnSet: true,
  });
  const unknown = new LRUCache<string, true>({ max: maxKept });
  const ended = new LRUCache<string, true>({ max: maxKept });
  const watched = new LRUCache<string, true>({ max: maxKept, ttl: WATCHED_MS });
  const reading = new Map<string, Promise<Verified | undefined>>();
  /** Grows with each revocation: what was read before it is not kept. */
  let revocations = 0;

  async function read(key: string, token: string): Promise<Verified | undefined> {
    const before = revocations;
    const stored = await readLiveToken(database, options.hash(token)).catch((error: unknown) => {
      throw error instanceof MeshError && error.code === "unavailable" ? accessUnavailable() : error;
    });
    if (stored === undefined) {
      unknown.set(key, true);
      return undefined;
    }
    const entry: Verified = {
      principal: toPrincipal(stored),
      accessor: stored.accessor,
      expireMs: stored.expireTime.getTime(),
      usedMs: stored.lastUseTime?.getTime() ?? 0,
    };
    if (before === revocations) {
      verified.set(key, entry);
      keyOf.set(stored.accessor, key);
    }
    return entry;
  }

  const readOnce = (key: string, token: string): Promise<Verified | undefined> => {
    const running = reading.get(key);
    if (running !== undefined) return running;
    const started = read(key, token).finally(() => reading.delete(key));
    reading.set(key, started);
    return started;
  };

  const markEnded = (accessor: string): void => {
    const key = keyOf.get(accessor);
    if (key !== undefined) verified.delete(key);
    ended.set(accessor, true);
    watched.delete(accessor);
    onEnded(accessor);
  };

  return {
    async verify(token, address) {
      if (!isToken(token)) return undefined;
      if (!isReliable()) throw accessUnavailable();
      const key = hash("sha256", token, "base64");
      if (unknown.has(key)) return undefined;
      const entry = verified.get(key) ?? (await readOnce(key, token));
      if (entry === undefined || ended.has(entry.accessor)) return undefined;
      const time = now();
      if (entry.expireMs <= time) return undefined;
      const may = mayAct(entry.principal);
      if (may !== true && !(await may)) return undefined;
      if (time - entry.usedMs >= USE_PERIOD_MS) {
        entry.usedMs = time;
        uses.note({ accessor: entry.accessor, time: new Date(time), address });
      }
      return entry.principal;
    },

    isCurrent(accessor, expireTime) {
      if (expireTime.getTime() <= now() || ended.has(accessor)) return false;
      watched.set(accessor, true);
      return true;
    },

    forget(accessor) {
      revocations += 1;
      markEnded(accessor);
    },

    doubt() {
      revocations += 1;
      verified.clear();
    },

    async recheck() {
      const asked = [...new Set([...watched.keys(), ...keyOf.keys()])];
      if (asked.length === 0) return;
      for (const accessor of await readEndedTokens(database, asked)) markEnded(accessor);
    },

    get size() {
      return verified.size + unknown.size;
    },
  };
}

function toPrincipal({ accessor, subject, creator, scopes, login, createTime, expireTime }: StoredToken): Principal {
  return {
    subject,
    creator,
    credential: {
      kind: "token",
      accessor,
      scopes: scopes.map(splitScope).filter((scope): scope is Scope => scope !== undefined),
      login,
      createTime,
      expireTime,
    },
  };
}
