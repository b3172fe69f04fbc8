import type { Interceptor } from "@connectrpc/connect";
import type { Log } from "@openhermit/telemetry";

import { requestIdKey } from "../call-context.ts";
import { toConnectError } from "../connect-error.ts";
import { observedStream } from "../observed-stream.ts";

/** Turns whatever is thrown further in into what the caller may know, see toConnectError. */
export function mapErrors(log: Log): Interceptor {
  return (next) => async (request) => {
    const call = {
      requestId: request.contextValues.get(requestIdKey),
      method: `${request.service.typeName}/${request.method.name}`,
      log,
    };
    try {
      const response = await next(request);
      return response.stream
        ? {
            ...response,
            message: observedStream(response.message, { onError: (error) => toConnectError(error, call) }),
          }
        : response;
    } catch (error) {
      throw toConnectError(error, call);
    }
  };
}
