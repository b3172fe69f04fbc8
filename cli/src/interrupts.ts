/** Hands the signals of the process to whoever has work to end. */
export interface Interrupts {
  /** A signal has come. */
  raise(signal: string): void;
  /** Calls back on each signal. The newest listener gets it alone. Returns how to stop that. */
  listen(listener: (signal: string) => void): () => void;
}

/** `otherwise` is called for a signal that nobody listens to. */
export function createInterrupts(otherwise: (signal: string) => void): Interrupts {
  const listeners: ((signal: string) => void)[] = [];
  return {
    raise: (signal) => (listeners.at(-1) ?? otherwise)(signal),
    listen: (listener) => {
      listeners.push(listener);
      return () => {
        const index = listeners.lastIndexOf(listener);
        if (index >= 0) listeners.splice(index, 1);
      };
    },
  };
}
