import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";

/** Cuts off readers that take nothing, so that what waits for them does not wait for ever. */
export interface StallGuard {
  /** Watches a response until it ends. */
  watch(response: ServerResponse | Http2ServerResponse): void;
  /** Stops watching. */
  close(): void;
}

const CHECKS = 4;

/** Creates a guard that destroys a response which waited for its reader through the whole timeout. */
export function createStallGuard(timeoutMs: number): StallGuard {
  const open = new Map<ServerResponse | Http2ServerResponse, { stalledChecks: number }>();
  const timer = setInterval(() => {
    for (const [response, state] of open) {
      state.stalledChecks = needsDrain(response) ? state.stalledChecks + 1 : 0;
      if (state.stalledChecks >= CHECKS) {
        open.delete(response);
        response.destroy();
      }
    }
  }, timeoutMs / CHECKS);
  timer.unref();
  return {
    watch(response) {
      const state = { stalledChecks: 0 };
      open.set(response, state);
      response.on("drain", () => (state.stalledChecks = 0));
      response.once("close", () => open.delete(response));
    },
    close() {
      clearInterval(timer);
      open.clear();
    },
  };
}

function needsDrain(response: ServerResponse | Http2ServerResponse): boolean {
  // The compatibility response of HTTP/2 knows no writableNeedDrain of its own.
  return "stream" in response ? (response.stream?.writableNeedDrain ?? false) : response.writableNeedDrain;
}
