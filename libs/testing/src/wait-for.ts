import { inspect } from "node:util";

/** How long to wait, and for what. */
export interface WaitOptions {
  /** In milliseconds. Default 20,000. */
  deadlineMs?: number;
  /** What is waited for, for the error: "the turn to end". */
  what: string;
}

const POLL_MS = 5;

/**
 * Calls the probe until it gives something other than undefined, null and false, and returns that. A probe that throws
 * counts as not yet. Past the deadline it throws, with the probe's last answer.
 */
export async function waitFor<T>(
  probe: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<NonNullable<T>, false>> {
  const { deadlineMs = 20_000, what } = options;
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      last = await probe();
      if (last !== undefined && last !== null && last !== false) return last as Exclude<NonNullable<T>, false>;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${deadlineMs} ms for ${what}; the last answer was ${inspect(last, { depth: 4 })}`, {
        cause: last,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
