import { TurnFailure } from "./turn-failure.ts";

/** The end of a turn from outside: its cancellation or its timeout, whichever comes first. */
export interface TurnDeadline {
  readonly signal: AbortSignal;
  /** Stops the clock. */
  clear(): void;
}

/** A signal that follows the given one and aborts with a TurnFailure after the time. */
export function createTurnDeadline(cancelled: AbortSignal, timeoutMs: number): TurnDeadline {
  const controller = new AbortController();
  const cancel = (): void => controller.abort(cancelled.reason);
  const timer = setTimeout(() => {
    const sentence = `the turn took longer than its limit of ${timeoutMs / 1000} s and was stopped; raise turn_limits.timeout or ask for less at a time`;
    controller.abort(new TurnFailure("TURN_TIMEOUT", sentence, false));
  }, timeoutMs);
  cancelled.addEventListener("abort", cancel, { once: true });
  if (cancelled.aborted) cancel();
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      cancelled.removeEventListener("abort", cancel);
    },
  };
}
