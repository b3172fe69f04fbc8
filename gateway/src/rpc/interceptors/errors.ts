import type { ContextValues, Interceptor } from "@connectrpc/connect";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Log } from "@openhermit/telemetry";

import { requestIdKey } from "../call-context.ts";
import { toConnectError } from "../connect-error.ts";
import { observedStream } from "../observed-stream.ts";

/** Is told of a call that failed, before its error becomes what the caller may know. */
export type OnFailure = (call: { values: ContextValues; method: DescMethod }, thrown: unknown) => void;

/** Turns whatever is thrown further in into what the caller may know, see toConnectError. */
export function mapErrors(log: Log, onFailure: OnFailure): Interceptor {
  return (next) => async (request) => {
    const { method, contextValues: values } = request;
    const mapped = (thrown: unknown) => {
      onFailure({ values, method }, thrown);
      return toConnectError(thrown, {
        requestId: values.get(requestIdKey),
        method: `${request.service.typeName}/${method.name}`,
        log,
      });
    };
    try {
      const response = await next(request);
      return response.stream
        ? { ...response, message: observedStream(response.message, { onError: mapped }) }
        : response;
    } catch (error) {
      throw mapped(error);
    }
  };
}
