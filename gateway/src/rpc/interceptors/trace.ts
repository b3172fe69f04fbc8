import type { Interceptor } from "@connectrpc/connect";
import { childOf, formatTraceparent, newTraceContext, parseTraceparent, type Telemetry } from "@openhermit/telemetry";

import { observedStream } from "../observed-stream.ts";

/**
 * Opens a span for the call, as a child of the caller's, and puts it into the `traceparent` header, where the
 * handler finds it. A stream in both directions lives for days: it carries the trace on and gets no span.
 */
export function traceCalls(telemetry: Telemetry): Interceptor {
  return (next) => async (request) => {
    const parent = parseTraceparent(request.header.get("traceparent") ?? undefined);
    const { method } = request;
    if (method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming") {
      const context = parent === undefined ? newTraceContext() : childOf(parent);
      request.header.set("traceparent", formatTraceparent(context));
      return next(request);
    }
    const name = `${request.service.typeName}/${method.name}`;
    const attributes = { "rpc.system.name": "connectrpc", "rpc.method": name };
    if (!request.stream) {
      return telemetry.span(name, { parent, kind: "server", attributes }, (span) => {
        request.header.set("traceparent", formatTraceparent(span));
        return next(request);
      });
    }
    const response = Promise.withResolvers<Awaited<ReturnType<typeof next>>>();
    const ended = Promise.withResolvers<void>();
    telemetry
      .span(name, { parent, kind: "server", attributes }, async (span) => {
        request.header.set("traceparent", formatTraceparent(span));
        const answer = await next(request);
        response.resolve(
          answer.stream
            ? {
                ...answer,
                message: observedStream(answer.message, {
                  onError(error) {
                    span.recordError(error);
                    return error;
                  },
                  onEnd: ended.resolve,
                }),
              }
            : answer,
        );
        await ended.promise;
      })
      .catch(response.reject);
    return response.promise;
  };
}
