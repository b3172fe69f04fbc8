import { toError, type MeshError } from "@openhermit/errors";

/** The open streams of principals, which end when their principal may no longer have them. */
export interface OpenStreams {
  /** Lets the messages of a stream through for as long as nothing speaks against it; then it fails with that error, also while it is idle. */
  guard<Message>(source: AsyncIterable<Message>, endError: () => MeshError | undefined): AsyncIterable<Message>;
}

/** Changes of rights that come together are looked at together, ms. */
const CHANGE_DELAY_MS = 100;
/** What no change announces, such as the end of a token's life, ms. */
const PERIOD_MS = 2_000;

/** Watches streams. Without an open one it does nothing. */
export function createOpenStreams(onChanged: (callback: () => void) => () => void): OpenStreams {
  const judges = new Set<() => void>();
  let stopWatching: (() => void) | undefined;

  function watch(): () => void {
    let soon: NodeJS.Timeout | undefined;
    const judgeAll = () => judges.forEach((judge) => judge());
    const timer = setInterval(judgeAll, PERIOD_MS).unref();
    const forget = onChanged(() => {
      soon ??= setTimeout(() => {
        soon = undefined;
        judgeAll();
      }, CHANGE_DELAY_MS).unref();
    });
    return () => {
      clearInterval(timer);
      clearTimeout(soon);
      forget();
    };
  }

  function add(judge: () => void): void {
    judges.add(judge);
    stopWatching ??= watch();
  }

  function remove(judge: () => void): void {
    judges.delete(judge);
    if (judges.size === 0) {
      stopWatching?.();
      stopWatching = undefined;
    }
  }

  return {
    guard: (source, endError) => ({
      [Symbol.asyncIterator]() {
        const iterator = source[Symbol.asyncIterator]();
        let ended: Error | undefined;
        let fail: ((error: Error) => void) | undefined;
        const judge = () => {
          try {
            ended = endError();
          } catch (error) {
            // Whom nobody can judge may not go on.
            ended = toError(error);
          }
          if (ended === undefined) {
            return;
          }
          remove(judge);
          fail?.(ended);
          // The handler learns it from its signal, which a failed stream aborts; it may be waiting for something else.
          iterator.return?.().catch(() => {});
        };
        add(judge);
        // By hand: what Promise.race would add to a promise that lives as long as the stream, it would never take away.
        return {
          next() {
            return new Promise((resolve, reject) => {
              if (ended !== undefined) {
                reject(ended);
                return;
              }
              fail = reject;
              iterator.next().then(
                (result) => {
                  if (result.done === true) remove(judge);
                  resolve(result);
                },
                (error: unknown) => {
                  remove(judge);
                  reject(error);
                },
              );
            });
          },
          async throw(reason: unknown) {
            remove(judge);
            return (await iterator.throw?.(reason)) ?? { done: true as const, value: undefined };
          },
          async return() {
            remove(judge);
            return (await iterator.return?.()) ?? { done: true as const, value: undefined };
          },
        };
      },
    }),
  };
}
