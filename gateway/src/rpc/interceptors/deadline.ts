import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/** How long a call with one answer may take when its caller names no deadline, ms. */
export const DEFAULT_DEADLINE_MS = 30_000;
/** The longest deadline a caller may name, ms. */
export const MAX_DEADLINE_MS = 3_600_000;

/**
 * Ends a call with one answer at its deadline, also when its handler does not listen to the signal. A stream has a
 * deadline only if its caller names one.
 */
export function keepDeadlines(defaultMs: number = DEFAULT_DEADLINE_MS): Interceptor {
  return (next) => async (request) => {
    if (request.stream) {
      return next(request);
    }
    const named = request.header.has("connect-timeout-ms") || request.header.has("grpc-timeout");
    const controller = new AbortController();
    const { promise, reject } = Promise.withResolvers<never>();
    const abort = (reason: unknown) => {
      controller.abort(reason);
      reject(reason);
    };
    const onAbort = () => abort(request.signal.reason ?? new ConnectError("the call was cancelled", Code.Canceled));
    const timer = named
      ? undefined
      : setTimeout(
          () => abort(new ConnectError(`the call took longer than ${defaultMs / 1000} s`, Code.DeadlineExceeded)),
          defaultMs,
        );
    if (request.signal.aborted) {
      onAbort();
    } else {
      request.signal.addEventListener("abort", onAbort, { once: true });
    }
    try {
      return await Promise.race([promise, next({ ...request, signal: controller.signal })]);
    } finally {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", onAbort);
      // Nobody waits for it any more; without this its rejection would count as unhandled.
      promise.catch(() => {});
    }
  };
}
