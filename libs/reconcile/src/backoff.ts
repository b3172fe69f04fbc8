/** How delays grow. */
export interface BackoffOptions {
  /** The first delay, in milliseconds. */
  initialMs: number;
  /** The longest delay, in milliseconds, before jitter. */
  maxMs: number;
  /** How much each delay is longer than the one before. Default 2. */
  factor?: number;
  /** Each delay is changed by up to this share of itself, up or down. Default 0.25. */
  jitter?: number;
  /** A source of numbers from 0 to below 1. Default Math.random. */
  random?: () => number;
}

/** Growing delays with jitter. */
export interface Backoff {
  /** The next delay, in milliseconds. */
  next(): number;
  /** How many delays were taken since the start or the last reset. */
  readonly attempts: number;
  /** Starts again with the first delay. */
  reset(): void;
}

/** Makes a sequence of delays that doubles up to a bound; never negative. */
export function createBackoff(options: BackoffOptions): Backoff {
  const { initialMs, maxMs, factor = 2, jitter = 0.25, random = Math.random } = options;
  let attempts = 0;
  return {
    next() {
      const base = Math.min(maxMs, initialMs * factor ** attempts);
      attempts += 1;
      return Math.max(0, Math.round(base * (1 + jitter * (random() * 2 - 1))));
    },
    get attempts() {
      return attempts;
    },
    reset() {
      attempts = 0;
    },
  };
}
