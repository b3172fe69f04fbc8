import type { Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { Audience } from "@openhermit/protocol/common/v1/access";

import { audienceError, rightError, type AccessRules, type RightCheck } from "../../access/access-rules.ts";
import { callerKey } from "../../access/caller.ts";
import { observedStream } from "../observed-stream.ts";

/**
 * Lets a call through only if its method has a rule, the caller is of its audience, and a principal holds the right to the
 * resource that the request names. Asked again after the gate, so that no way around the gate opens a method.
 */
export function authorize(rules: AccessRules, holds: RightCheck): Interceptor {
  return (next) => async (request) => {
    const { method } = request;
    const caller = request.contextValues.get(callerKey);
    const rule = rules.of(method);
    const refusal = audienceError(rule, method, caller);
    if (refusal !== undefined || rule === undefined) {
      throw refusal ?? new Error("no rule and no refusal");
    }
    const check = (message: Message) => {
      const missing = rightError(rule, method, caller, message, holds);
      if (missing !== undefined) {
        throw missing;
      }
    };
    if (!request.stream) {
      check(request.message);
      return next(request);
    }
    // Nothing that a sidecar's stream says opens anything: its agents come from its credential.
    return rule.audience === Audience.PRINCIPAL
      ? next({ ...request, message: observedStream(request.message, { onMessage: check }) })
      : next(request);
  };
}
