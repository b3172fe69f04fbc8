/** Wakes whoever waits. What the waiter looks at is state, so a ring that nobody hears is not lost. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, or after so many milliseconds when given. */
  rung(withinMs?: number): Promise<void>;
}

/** Makes a bell. Its timers don't keep the process alive. */
export function createBell(): Bell {
  let waiting = new Set<() => void>();
  return {
    ring() {
      const woken = waiting;
      waiting = new Set();
      for (const wake of woken) wake();
    },
    rung(withinMs) {
      return new Promise((resolve) => {
        const timer = withinMs === undefined ? undefined : setTimeout(wake, withinMs);
        timer?.unref();
        function wake(): void {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        }
        waiting.add(wake);
      });
    },
  };
}
