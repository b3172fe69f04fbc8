import type { Event } from "@openhermit/protocol/activity/v1/event";

/** Stores events; rejects when that failed. */
export type AppendEvents = (events: readonly Event[]) => Promise<void>;

/** The most events that are stored together. */
const MAX_TOGETHER = 1000;

interface Waiting {
  readonly events: readonly Event[];
  readonly stored: PromiseWithResolvers<void>;
}

/**
 * Stores what many callers append in few statements: what comes while some is on its way goes together with the next. A
 * change that a thousand agents answer must not become a thousand statements. When events can't be stored together, each
 * caller's are tried alone, so that nobody loses theirs for another's.
 */
export function batchEvents(append: AppendEvents): AppendEvents {
  const waiting: Waiting[] = [];
  let running = false;

  function take(): Waiting[] {
    let count = 0;
    const end = waiting.findIndex(({ events }, i) => (count += events.length) > MAX_TOGETHER && i > 0);
    return waiting.splice(0, end === -1 ? waiting.length : end);
  }

  async function store(together: readonly Waiting[]): Promise<void> {
    try {
      await append(together.flatMap(({ events }) => events));
    } catch (error) {
      if (together.length === 1 || isAway(error)) {
        for (const { stored } of together) stored.reject(error);
        return;
      }
      for (const one of together) await store([one]);
      return;
    }
    for (const { stored } of together) stored.resolve();
  }

  async function run(): Promise<void> {
    running = true;
    // What is appended in the same moment goes together from the first.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) await store(take());
    running = false;
  }

  return (events) => {
    const stored = Promise.withResolvers<void>();
    waiting.push({ events, stored });
    if (!running) void run();
    return stored.promise;
  };
}

/** Whether the database is away: then nothing is gained by trying again at once. */
function isAway(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "unavailable";
}
