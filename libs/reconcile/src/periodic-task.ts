import { createBackoff } from "./backoff.ts";

/** A task that runs again and again. */
export interface PeriodicTaskOptions {
  /** The task's name, for the log. */
  name: string;
  /** The time between the end of a run and the next one, in milliseconds. */
  periodMs: number;
  /** One run. Takes no input, is idempotent, ends soon after the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Called when a run fails; the next run comes after a growing delay, at most the period. */
  onError(error: unknown): void;
}

/** Runs a task on a period, and at once when poked. */
export interface PeriodicTask {
  /** Runs soon. A poke during a run causes one more run after it. */
  poke(): void;
  /** Pokes, and resolves when a run that began after this call has ended; rejects if that run failed. */
  runNow(): Promise<void>;
  /** No further run; resolves when the current one has ended. */
  stop(): Promise<void>;
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/** Starts a periodic task; the first run begins at once. Runs never overlap. */
export function createPeriodicTask(options: PeriodicTaskOptions): PeriodicTask {
  const { periodMs, run, onError, name } = options;
  const controller = new AbortController();
  const backoff = createBackoff({ initialMs: Math.min(100, periodMs), maxMs: periodMs });
  let waiting: Waiter[] = [];
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let poked = false;

  const schedule = (delayMs: number): void => {
    clearTimeout(timer);
    timer = setTimeout(begin, delayMs);
    timer.unref();
  };

  const runOnce = async (): Promise<void> => {
    const waiters = waiting;
    waiting = [];
    poked = false;
    try {
      await run(controller.signal);
      backoff.reset();
      for (const waiter of waiters) waiter.resolve();
      if (!controller.signal.aborted) schedule(poked ? 0 : periodMs);
    } catch (error) {
      for (const waiter of waiters) waiter.reject(error);
      if (controller.signal.aborted) return;
      onError(error);
      schedule(poked ? 0 : backoff.next());
    }
  };

  function begin(): void {
    if (running !== undefined || controller.signal.aborted) return;
    running = runOnce().finally(() => {
      running = undefined;
      if (poked && !controller.signal.aborted) schedule(0);
    });
  }

  const poke = (): void => {
    poked = true;
    if (running === undefined && !controller.signal.aborted) schedule(0);
  };

  schedule(0);
  return {
    poke,
    runNow() {
      if (controller.signal.aborted) return Promise.reject(new Error(`task ${name} is stopped`));
      return new Promise<void>((resolve, reject) => {
        waiting.push({ resolve, reject });
        poke();
      });
    },
    async stop() {
      controller.abort();
      clearTimeout(timer);
      await running;
      const abandoned = waiting;
      waiting = [];
      for (const waiter of abandoned) waiter.reject(new Error(`task ${name} is stopped`));
    },
  };
}
