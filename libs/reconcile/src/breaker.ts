/** Closed lets through, open does not, half-open lets one try through. */
export type BreakerState = "closed" | "open" | "half-open";

/** When a breaker opens and when it tries again. */
export interface BreakerOptions {
  /** This many failures within the window open it. */
  failures: number;
  /** The window, in milliseconds. */
  windowMs: number;
  /** How long it stays open before one try, in milliseconds. */
  openMs: number;
  /** A monotonic clock, in milliseconds. Default performance.now. */
  now?: () => number;
}

/** Stops trying what keeps failing. */
export interface Breaker {
  /** The state now. */
  state(): BreakerState;
  /** Whether a try may be made now. In half-open only the first asker may. */
  allow(): boolean;
  /** The try succeeded: closes, and forgets the failures. */
  succeeded(): void;
  /** The try failed. */
  failed(): void;
  /** Closes, and forgets the failures. */
  reset(): void;
}

/** Makes a closed breaker. */
export function createBreaker(options: BreakerOptions): Breaker {
  const { failures, windowMs, openMs, now = () => performance.now() } = options;
  let times: number[] = [];
  let openedAt: number | undefined;
  let trying = false;

  const state = (): BreakerState => {
    if (openedAt === undefined) return "closed";
    return now() - openedAt >= openMs ? "half-open" : "open";
  };
  const close = (): void => {
    times = [];
    openedAt = undefined;
    trying = false;
  };
  return {
    state,
    allow() {
      const current = state();
      if (current === "closed") return true;
      if (current === "open" || trying) return false;
      trying = true;
      return true;
    },
    succeeded: close,
    reset: close,
    failed() {
      const at = now();
      if (openedAt !== undefined) {
        openedAt = at;
        trying = false;
        return;
      }
      times = times.filter((time) => at - time < windowMs);
      times.push(at);
      if (times.length >= failures) openedAt = at;
    },
  };
}
