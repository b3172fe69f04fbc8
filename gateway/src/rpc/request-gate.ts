import type { DescMethod } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { MeshError } from "@openhermit/errors";
import { newUuidV7 } from "@openhermit/ids";
import { Audience } from "@openhermit/protocol/common/v1/access";
import type { Log } from "@openhermit/telemetry";

import { audienceError, type AccessRules } from "../access/access-rules.ts";
import { callerKey, callerName, callerOf } from "../access/caller.ts";
import type { CredentialVerifier } from "../access/credential-verifier.ts";
import { peerKey, requestIdKey } from "./call-context.ts";
import { toConnectError } from "./connect-error.ts";
import type { RpcMetrics } from "./rpc-metrics.ts";

/** What the gate works with. */
export interface RequestGateOptions {
  rules: AccessRules;
  verifier: CredentialVerifier;
  /** Why the gateway takes no such call now, for example while it starts or drains; undefined if it does. */
  admit(method: DescMethod): MeshError | undefined;
  metrics: RpcMetrics;
  log: Log;
}

/**
 * Creates the gate that each call passes before a byte of its body is read: it names the call, finds out who calls, and
 * refuses who may not call the method at all. What a right needs to know of the request is checked later, by the
 * authorize interceptor.
 */
export function createRequestGate(options: RequestGateOptions): (context: HandlerContext) => Promise<void> {
  const { rules, verifier, metrics, log } = options;
  return async (context) => {
    const requestId = newUuidV7();
    context.values.set(requestIdKey, requestId);
    context.responseHeader.set("x-request-id", requestId);
    const method = `${context.service.typeName}/${context.method.name}`;
    try {
      const rule = rules.of(context.method);
      if (rule?.audience !== Audience.PUBLIC) {
        context.values.set(callerKey, await verifier.verify(context.requestHeader));
      }
      const refusal = audienceError(rule, context.method, callerOf(context)) ?? options.admit(context.method);
      if (refusal !== undefined) {
        throw refusal;
      }
    } catch (thrown) {
      const error = toConnectError(thrown, { requestId, method, log });
      metrics.refused(method, error.code);
      log.info(
        {
          request_id: requestId,
          method,
          caller: callerName(callerOf(context)),
          peer: context.values.get(peerKey),
          reason: ConnectError.from(error).rawMessage,
        },
        "call refused",
      );
      throw error;
    }
  };
}
