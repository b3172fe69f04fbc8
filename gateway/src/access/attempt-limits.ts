import { resourceExhausted, type MeshError } from "@openhermit/errors";

import { addressGroup } from "@openhermit/caller";

/** What is tried: to log in, to become the owner, to join as a sidecar, to call with a token. */
export type AttemptKind = "login" | "setup" | "join" | "token";

/** Bounds how often one address may fail to come in. In memory: each gateway counts for itself. */
export interface AttemptLimits {
  /** Why the address may not try now; undefined if it may. RESOURCE_EXHAUSTED with `retry_after_seconds`. */
  admit(kind: AttemptKind, address: string): MeshError | undefined;
  /** Counts a failed attempt. What succeeds is never counted. */
  failed(kind: AttemptKind, address: string): void;
  /**
   * Admits, tries, and counts what fails. Logins that run at the same time wait for each other where too many of them
   * could fail: nobody gets more guesses by making them all at once. Throws what admit says, or what the attempt throws.
   */
  attempt<Result>(
    kind: AttemptKind,
    address: string,
    work: () => Promise<Result>,
    isFailure: (error: unknown) => boolean,
  ): Promise<Result>;
}

// Who joins or calls with a token holds 190 random bits or more, and a thousand sidecars may come at once.
const LIMITS: Readonly<Record<AttemptKind, { failures: number; windowMs: number; waits: boolean }>> = {
  login: { failures: 10, windowMs: 600_000, waits: true },
  setup: { failures: 10, windowMs: 600_000, waits: true },
  join: { failures: 60, windowMs: 60_000, waits: false },
  token: { failures: 60, windowMs: 60_000, waits: false },
};
/** Addresses that are remembered for each kind. Beyond that the oldest are forgotten. */
const MAX_ADDRESSES = 10_000;
/** Attempts of one address that may wait for each other. */
const MAX_WAITING = 1_000;

interface Tally {
  failures: number;
  /** When its failures are forgotten; ms of `now`. */
  until: number;
  running: number;
  waiting: (() => void)[];
}

/** Creates the limits, without any failure. */
export function createAttemptLimits(options: { now?: () => number } = {}): AttemptLimits {
  const now = options.now ?? (() => performance.now());
  const tallies = new Map<string, Tally>();

  function find(kind: AttemptKind, group: string): Tally | undefined {
    const tally = tallies.get(`${kind} ${group}`);
    if (tally !== undefined && tally.failures > 0 && tally.until <= now()) {
      tally.failures = 0;
    }
    return tally;
  }

  function open(kind: AttemptKind, group: string): Tally {
    const known = find(kind, group);
    if (known !== undefined) {
      return known;
    }
    const tally: Tally = { failures: 0, until: 0, running: 0, waiting: [] };
    tallies.set(`${kind} ${group}`, tally);
    if (tallies.size > MAX_ADDRESSES) {
      forgetOldest(tallies);
    }
    return tally;
  }

  function refusal(kind: AttemptKind, tally: Tally | undefined): MeshError | undefined {
    return tally !== undefined && tally.failures >= LIMITS[kind].failures ? limited(tally.until - now()) : undefined;
  }

  function count(kind: AttemptKind, tally: Tally): void {
    if (tally.failures === 0) {
      tally.until = now() + LIMITS[kind].windowMs;
    }
    tally.failures += 1;
  }

  return {
    admit: (kind, address) => refusal(kind, find(kind, addressGroup(address))),
    failed: (kind, address) => count(kind, open(kind, addressGroup(address))),
    async attempt(kind, address, work, isFailure) {
      const group = addressGroup(address);
      let tally: Tally;
      for (;;) {
        tally = open(kind, group);
        const refused = refusal(kind, tally);
        if (refused !== undefined) {
          throw refused;
        }
        if (!LIMITS[kind].waits || tally.failures + tally.running < LIMITS[kind].failures) {
          break;
        }
        if (tally.waiting.length >= MAX_WAITING) {
          throw limited(1_000);
        }
        const { waiting } = tally;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      tally.running += 1;
      try {
        return await work();
      } catch (error) {
        if (isFailure(error)) {
          count(kind, tally);
        }
        throw error;
      } finally {
        tally.running -= 1;
        tally.waiting.splice(0).forEach((wake) => wake());
        if (tally.failures === 0 && tally.running === 0 && tally.waiting.length === 0) {
          tallies.delete(`${kind} ${group}`);
        }
      }
    },
  };
}

function limited(ms: number): MeshError {
  const seconds = String(Math.max(1, Math.ceil(ms / 1000)));
  return resourceExhausted(
    "ATTEMPTS_LIMITED",
    `too many attempts from this address failed; try again in ${seconds} s`,
    {
      fields: { retry_after_seconds: seconds },
    },
  );
}

// Not those that run: others wait for them.
function forgetOldest(tallies: Map<string, Tally>): void {
  for (const [key, tally] of tallies) {
    if (tally.running === 0 && tally.waiting.length === 0) {
      tallies.delete(key);
      return;
    }
  }
}
