import { resourceExhausted, type MeshError } from "@openhermit/errors";
import { LRUCache } from "lru-cache";

/** An attempt to log in that counts as failed until it is known better. */
export interface CountedAttempt {
  /** It succeeded, and the person at this address begins anew. */
  succeeded(): void;
  /** It was not decided: the database was away. */
  undecided(): void;
}

/** How often a password may be guessed. */
export interface LoginLimits {
  /**
   * Counts an attempt, or says when the next one may be made.
   *
   * @param known whether the member has logged in from this address before: then only what failed there counts, so that
   *   nobody elsewhere can lock the member out.
   */
  begin(memberId: string, addressGroup: string, known: boolean): CountedAttempt | MeshError;
}

const WINDOW_MS = 15 * 60_000;
/** Failures for a member from one address. */
const AT_ADDRESS = 10;
/** Failures for a member from all addresses that are not known. */
const ELSEWHERE = 30;
/** Counters kept of each kind; the ones used least recently go. Each guess costs a hash, so that thousands take minutes. */
const MAX_COUNTERS = 10_000;

/** Makes the limits, of this process and in memory: failures of the last 15 minutes count. */
export function createLoginLimits(now: () => number): LoginLimits {
  const atAddress = createFailures(AT_ADDRESS, now);
  const elsewhere = createFailures(ELSEWHERE, now);
  return {
    begin(memberId, addressGroup, known) {
      const here = `${memberId} ${addressGroup}`;
      const waitMs = Math.max(atAddress.waitMs(here), known ? 0 : elsewhere.waitMs(memberId));
      if (waitMs > 0) return limited(waitMs);
      const time = atAddress.add(here);
      if (!known) elsewhere.add(memberId);
      const takeBack = (): void => {
        atAddress.remove(here, time);
        if (!known) elsewhere.remove(memberId, time);
      };
      return {
        succeeded() {
          takeBack();
          atAddress.clear(here);
        },
        undecided: takeBack,
      };
    },
  };
}

function limited(waitMs: number): MeshError {
  const seconds = Math.ceil(waitMs / 1000);
  return resourceExhausted("LOGIN_LIMITED", "there were too many failed logins", {
    hint: `Try again in ${Math.ceil(seconds / 60)} min, or make a login link on the gateway's host.`,
    fields: { retry_after_seconds: String(seconds) },
  });
}

interface Failures {
  /** How long until one more is allowed; 0: now. */
  waitMs(key: string): number;
  add(key: string): number;
  remove(key: string, time: number): void;
  clear(key: string): void;
}

function createFailures(limit: number, now: () => number): Failures {
  const counters = new LRUCache<string, number[]>({ max: MAX_COUNTERS });
  const recent = (key: string): number[] => (counters.get(key) ?? []).filter((time) => time > now() - WINDOW_MS);
  const put = (key: string, times: number[]): void => {
    if (times.length === 0) counters.delete(key);
    else counters.set(key, times);
  };
  return {
    waitMs(key) {
      const times = recent(key);
      const first = times.at(-limit);
      return first === undefined ? 0 : first + WINDOW_MS - now();
    },
    add(key) {
      const time = now();
      put(key, [...recent(key), time]);
      return time;
    },
    remove(key, time) {
      const times = recent(key);
      const at = times.indexOf(time);
      put(key, at < 0 ? times : times.toSpliced(at, 1));
    },
    clear: (key) => void counters.delete(key),
  };
}
