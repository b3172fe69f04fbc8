/** Wakes all who wait for news. */
export interface PokeBoard {
  /** How many pokes there were: read before one looks, so that none between is missed. */
  readonly count: number;
  poke(): void;
  /** Resolves when there were more pokes than `seen`, when the time is over, or when the signal aborts. Never rejects. */
  wait(seen: number, timeoutMs: number, signal: AbortSignal): Promise<void>;
}

/** Makes a board that nobody has poked. */
export function createPokeBoard(): PokeBoard {
  const waiting = new Set<() => void>();
  let count = 0;
  return {
    get count() {
      return count;
    },
    poke() {
      count += 1;
      for (const wake of waiting) wake();
    },
    async wait(seen, timeoutMs, signal) {
      if (count !== seen || signal.aborted) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeoutMs);
      timer.unref();
      const wake = (): void => resolve();
      waiting.add(wake);
      signal.addEventListener("abort", wake);
      await promise;
      clearTimeout(timer);
      waiting.delete(wake);
      signal.removeEventListener("abort", wake);
    },
  };
}
