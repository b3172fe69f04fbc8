import type { Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { Audience } from "@openhermit/protocol/common/v1/access";

import { audienceError, type AccessRules } from "../../access/access-rules.ts";
import { callAccessKey } from "../../access/call-access.ts";
import { callerKey } from "../../access/caller.ts";
import { observedStream } from "../observed-stream.ts";
import type { OpenStreams } from "../open-streams.ts";

/**
 * Lets a call through only if its method has a rule, the caller is of its audience, and a principal holds the right to what
 * the request names. Asked again after the gate, so that no way around the gate opens a method. The stream of a principal
 * ends when that is no longer so.
 */
export function authorize(rules: AccessRules, streams: OpenStreams): Interceptor {
  return (next) => (request) => {
    const { method, contextValues } = request;
    const rule = rules.of(method);
    const refusal = audienceError(rule, method, contextValues.get(callerKey));
    if (refusal !== undefined) {
      throw refusal;
    }
    // Nothing that a sidecar's stream says opens anything: its agents come from its credential.
    if (rule?.audience !== Audience.PRINCIPAL) {
      return next(request);
    }
    const access = contextValues.get(callAccessKey);
    if (access === undefined) {
      throw new Error("a principal came around the gate");
    }
    const check = (message: Message) => {
      const error = access.requestError(message);
      if (error !== undefined) {
        throw error;
      }
    };
    if (!request.stream) {
      check(request.message);
      return next(request);
    }
    const response = next({ ...request, message: observedStream(request.message, { onMessage: check }) });
    return response.then((answer) =>
      answer.stream ? { ...answer, message: streams.guard(answer.message, () => access.endError()) } : answer,
    );
  };
}
