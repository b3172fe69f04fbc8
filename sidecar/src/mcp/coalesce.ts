/**
 * Work that runs once at a time: asked for again while it runs, it runs once more afterwards, however often it was
 * asked for. The work must not reject.
 */
export function createCoalesced(work: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      await work();
      // oxlint-disable-next-line eslint/no-unmodified-loop-condition -- set by the function below while the work runs
    } while (again);
    running = false;
  };
  return () => {
    if (running) again = true;
    else void run();
  };
}
