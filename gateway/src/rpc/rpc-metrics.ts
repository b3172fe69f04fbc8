import { Code } from "@connectrpc/connect";
import type { Telemetry } from "@openhermit/telemetry";

/** Counts calls. Its labels come from the contracts and from the codes of gRPC, never from a caller. */
export interface RpcMetrics {
  /** A call was refused before its body was read. */
  refused(method: string, code: Code): void;
  /** A call with one answer ended. */
  ended(method: string, code: Code | undefined, seconds: number): void;
  /** A stream began; call the answer when it ends. */
  streamOpened(method: string): (code: Code | undefined) => void;
}

/** Creates the metrics of the calls. */
export function createRpcMetrics(meter: Telemetry["meter"]): RpcMetrics {
  const requests = meter.createCounter("openhermit_rpc_requests", { description: "Calls by method and code." });
  const duration = meter.createHistogram("openhermit_rpc_duration_seconds", {
    description: "How long calls with one answer took.",
    advice: { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] },
  });
  const streams = meter.createUpDownCounter("openhermit_rpc_streams", { description: "Open streams by method." });
  return {
    refused: (method, code) => requests.add(1, { method, code: codeName(code) }),
    ended(method, code, seconds) {
      requests.add(1, { method, code: codeName(code) });
      duration.record(seconds, { method });
    },
    streamOpened(method) {
      streams.add(1, { method });
      return (code) => {
        streams.add(-1, { method });
        requests.add(1, { method, code: codeName(code) });
      };
    },
  };
}

/** `ok` for no error, else the code's name in snake case. */
export function codeName(code: Code | undefined): string {
  return code === undefined ? "ok" : Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
}
