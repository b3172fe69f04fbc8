import type { Database } from "@openhermit/postgres";
import type { Log } from "@openhermit/telemetry";
import { storeTokenUses, type TokenUse } from "./token-store.ts";

/** When tokens were used, on the way to the database. */
export interface TokenUses {
  /** Stores a use within about a second, with all others of that second in one statement. */
  note(use: TokenUse): void;
  /** Stores what still waits. */
  close(): Promise<void>;
}

const DELAY_MS = 1_000;
const MAX_WAITING = 10_000;

/** Collects uses. While the database is away the newest of each token waits, of at most 10,000 tokens. */
export function createTokenUses({ database, log }: { database: Database; log: Log }): TokenUses {
  let waiting = new Map<string, TokenUse>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let closed = false;

  async function store(): Promise<void> {
    const uses = waiting;
    waiting = new Map();
    try {
      await storeTokenUses(database, [...uses.values()]);
    } catch (error) {
      log.debug({ err: error }, "token uses not stored");
      waiting = new Map([...uses, ...waiting]);
    }
  }

  function schedule(): void {
    if (timer !== undefined || running !== undefined || closed || waiting.size === 0) return;
    timer = setTimeout(() => {
      timer = undefined;
      running = store().finally(() => {
        running = undefined;
        schedule();
      });
    }, DELAY_MS);
    timer.unref();
  }

  return {
    note(use) {
      if (waiting.size >= MAX_WAITING && !waiting.has(use.accessor)) return;
      waiting.set(use.accessor, use);
      schedule();
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await running;
      if (waiting.size > 0) await store();
    },
  };
}
