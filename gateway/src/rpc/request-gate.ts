import type { DescMethod } from "@bufbuild/protobuf";
import { ConnectError, type ContextValues, type HandlerContext } from "@connectrpc/connect";
import { callerName } from "@openhermit/caller";
import type { MeshError } from "@openhermit/errors";
import { newUuidV7 } from "@openhermit/ids";
import { Audience } from "@openhermit/protocol/common/v1/access";
import type { Log } from "@openhermit/telemetry";

import type { AccessPolicy } from "../access/access-policy.ts";
import { audienceError, methodName, type AccessRules } from "../access/access-rules.ts";
import { callAccessKey, openCall } from "../access/call-access.ts";
import { callerKey, callerOf, principalKey, strangerOf } from "../access/caller.ts";
import type { Credentials, CredentialVerifier } from "../access/credential-verifier.ts";
import { peerKey, requestIdKey } from "./call-context.ts";
import { toConnectError } from "./connect-error.ts";
import type { OnFailure } from "./interceptors/errors.ts";
import type { RpcMetrics } from "./rpc-metrics.ts";

/** What the gate works with. */
export interface RequestGateOptions {
  rules: AccessRules;
  verifier: CredentialVerifier;
  policy: AccessPolicy;
  /** Why the gateway takes no such call now, for example while it starts or drains; undefined if it does. */
  admit(method: DescMethod): MeshError | undefined;
  /** Is told of a call that is refused. */
  onFailure: OnFailure;
  metrics: RpcMetrics;
  log: Log;
}

/**
 * Creates the gate that each call passes before a byte of its body is read: it names the call, finds out who calls, and
 * refuses who may not call the method at all. What a right needs to know of the request is checked later, by the
 * authorize interceptor.
 */
export function createRequestGate(options: RequestGateOptions): (context: HandlerContext) => Promise<void> {
  const { rules, verifier, policy, metrics, log } = options;

  /** Finds out who calls, and puts it into the call. */
  function identify(values: ContextValues, method: DescMethod, credentials: Credentials): void {
    if (credentials.kind === "sidecar") {
      values.set(callerKey, credentials);
    } else if (credentials.kind === "principal") {
      const { principal } = credentials;
      const rule = rules.of(method);
      values.set(principalKey, principal);
      if (rule?.audience === Audience.PRINCIPAL) {
        const access = openCall({ policy, principal, rule, method });
        values.set(callAccessKey, access);
        values.set(callerKey, access.caller);
      } else {
        values.set(callerKey, strangerOf(principal));
      }
    }
  }

  /** Why the call may not go on, as far as its caller and its method tell. */
  function refusalOf(values: ContextValues, method: DescMethod): MeshError | undefined {
    return (
      audienceError(rules.of(method), method, values.get(callerKey)) ??
      values.get(callAccessKey)?.methodError() ??
      options.admit(method)
    );
  }

  return async (context) => {
    const requestId = newUuidV7();
    const { values, method: called } = context;
    values.set(requestIdKey, requestId);
    context.responseHeader.set("x-request-id", requestId);
    try {
      if (rules.of(called)?.audience !== Audience.PUBLIC) {
        const request = { headers: context.requestHeader, address: values.get(peerKey), isGet: false };
        identify(values, called, await verifier.verify(request));
      }
      const refusal = refusalOf(values, called);
      if (refusal !== undefined) {
        throw refusal;
      }
    } catch (thrown) {
      const method = methodName(context.method);
      options.onFailure(context, thrown);
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
