import { ConnectError, type Code, type Interceptor } from "@connectrpc/connect";
import { callerName } from "@openhermit/caller";
import { parseTraceparent, type Log } from "@openhermit/telemetry";

import { callerKey } from "../../access/caller.ts";
import { peerKey, requestIdKey } from "../call-context.ts";
import { observedStream } from "../observed-stream.ts";
import { codeName, type RpcMetrics } from "../rpc-metrics.ts";

/** Writes one line for each call when it ends, and counts it. A call that went well is told at debug level only. */
export function logCalls(log: Log, metrics: RpcMetrics): Interceptor {
  return (next) => async (request) => {
    const started = performance.now();
    const method = `${request.service.typeName}/${request.method.name}`;
    const closeStream = request.stream ? metrics.streamOpened(method) : undefined;
    const done = (code: Code | undefined) => {
      const seconds = (performance.now() - started) / 1000;
      if (closeStream === undefined) {
        metrics.ended(method, code, seconds);
      } else {
        closeStream(code);
      }
      const level = code === undefined ? "debug" : "info";
      if (!log.isLevelEnabled(level)) {
        return;
      }
      log[level](
        {
          request_id: request.contextValues.get(requestIdKey),
          trace_id: parseTraceparent(request.header.get("traceparent") ?? undefined)?.traceId,
          method,
          caller: callerName(request.contextValues.get(callerKey)),
          peer: request.contextValues.get(peerKey),
          code: codeName(code),
          duration_ms: Math.round(seconds * 10_000) / 10,
        },
        "call ended",
      );
    };
    try {
      const response = await next(request);
      if (!response.stream) {
        done(undefined);
        return response;
      }
      let code: Code | undefined;
      return {
        ...response,
        message: observedStream(response.message, {
          onError(error) {
            ({ code } = ConnectError.from(error));
            return error;
          },
          onEnd: () => done(code),
        }),
      };
    } catch (error) {
      done(ConnectError.from(error).code);
      throw error;
    }
  };
}
