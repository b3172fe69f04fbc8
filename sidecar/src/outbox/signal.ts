/** Wakes one waiter, once for all that was raised in the same turn of the event loop. */
export interface Signal {
  /** There is something to do. */
  raise(): void;
  /** Resolves after the next raise, or at once if there was one since the last wait. */
  wait(): Promise<void>;
}

/** A signal that is not raised. The waiter runs after the current turn of the event loop, with no timer between. */
export function createSignal(): Signal {
  let raised = false;
  let scheduled = false;
  let wake: (() => void) | undefined;
  return {
    raise() {
      raised = true;
      if (wake === undefined || scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        if (!raised) return;
        const waiter = wake;
        wake = undefined;
        raised = false;
        waiter?.();
      });
    },
    wait() {
      if (raised) {
        raised = false;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        wake = resolve;
      });
    },
  };
}
