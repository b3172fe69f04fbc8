/** Runs work one after the other, in the order of the calls. A failure reaches its own caller only. */
export type Serial = <T>(work: () => Promise<T>) => Promise<T>;

/** Creates an empty queue of work. */
export function createSerial(): Serial {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const run = last.then(work, work);
    last = run.catch(() => undefined);
    return run;
  };
}
