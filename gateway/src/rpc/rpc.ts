import type { DescMethod } from "@bufbuild/protobuf";
import { createContextValues, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { ScopedMethod } from "@openhermit/access-service";
import type { MeshError } from "@openhermit/errors";
import type { Log, Telemetry } from "@openhermit/telemetry";

import type { AccessPolicy } from "../access/access-policy.ts";
import { createAccessRules, methodName, type AccessRules } from "../access/access-rules.ts";
import type { AttemptLimits } from "../access/attempt-limits.ts";
import type { CredentialVerifier } from "../access/credential-verifier.ts";
import { denialOf } from "../access/denial.ts";
import type { RequestHandler } from "../listener/listener.ts";
import { BODY_TIMEOUT_MS, withBodyTimeout } from "./body-timeout.ts";
import { peerKey } from "./call-context.ts";
import { authorize } from "./interceptors/authorize.ts";
import { DEFAULT_DEADLINE_MS, keepDeadlines, MAX_DEADLINE_MS } from "./interceptors/deadline.ts";
import { mapErrors, type OnFailure } from "./interceptors/errors.ts";
import { limitAttempts } from "./interceptors/limit-attempts.ts";
import { logCalls } from "./interceptors/log.ts";
import { traceCalls } from "./interceptors/trace.ts";
import { validate } from "./interceptors/validate.ts";
import { createOpenStreams } from "./open-streams.ts";
import { createRequestGate } from "./request-gate.ts";
import { createRpcMetrics } from "./rpc-metrics.ts";

/** The largest message that is read or written, bytes, after decompression. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** What the calls are served with. */
export interface RpcOptions {
  /** Registers the services. */
  routes(router: ConnectRouter): void;
  verifier: CredentialVerifier;
  /** What principals may do. */
  policy: AccessPolicy;
  /** Failed attempts to come in, by address. */
  limits: AttemptLimits;
  /** Why a method is not served now; undefined if it is. */
  admit(method: DescMethod): MeshError | undefined;
  telemetry: Telemetry;
  log: Log;
  /** What is served for a path that is no method. */
  fallback: RequestHandler;
  /** Ends all calls and streams with its reason. */
  shutdownSignal?: AbortSignal;
  /** How long the one message of a request may take to arrive, ms. Default 60,000. */
  bodyTimeoutMs?: number;
  /** The deadline of a call that names none, ms. Default 30,000. */
  defaultDeadlineMs?: number;
}

/** Serves all calls. */
export interface RpcHandler {
  readonly handle: RequestHandler;
  /** The methods that principals may call. */
  readonly scoped: readonly ScopedMethod[];
}

/**
 * Creates the handler of all calls, in the protocols Connect, gRPC and gRPC-Web. Throws when the access rule of a method
 * does not say what it means.
 */
export function createRpcHandler(options: RpcOptions): RpcHandler {
  const { telemetry, log, policy, limits } = options;
  const metrics = createRpcMetrics(telemetry.meter);
  // The rules are those of the methods that are served, which are known only below.
  const late: { rules?: ReturnType<typeof createAccessRules>; router?: ConnectRouter } = {};
  const rules: AccessRules = { of: (method) => late.rules?.of(method) };
  const onFailure: OnFailure = ({ values, method }, thrown) => {
    const denial = denialOf({ values, method: methodName(method), rule: rules.of(method) }, thrown);
    if (denial !== undefined) {
      policy.recordDenial(denial);
    }
  };
  // From the outside in. The caller is known before: the gate authenticates without reading the body.
  const interceptors: Interceptor[] = [
    traceCalls(telemetry),
    logCalls(log, metrics),
    mapErrors(log, onFailure),
    keepDeadlines(options.defaultDeadlineMs ?? DEFAULT_DEADLINE_MS),
    authorize(rules, createOpenStreams(policy.onChanged)),
    validate(),
    limitAttempts(rules, limits),
  ];
  const { verifier, admit } = options;
  const handle = connectNodeAdapter({
    routes(router) {
      options.routes(router);
      late.router = router;
      late.rules = createAccessRules(
        router.handlers.map(({ method }) => method),
        policy.resources,
      );
    },
    interceptors,
    requestGate: createRequestGate({ rules, verifier, policy, admit, onFailure, metrics, log }),
    contextValues: (request) => createContextValues().set(peerKey, request.socket?.remoteAddress ?? ""),
    // A misspelt field or an unknown word of an enum in JSON is refused, not passed over: what was asked for would not be done.
    jsonOptions: { ignoreUnknownFields: false },
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    maxTimeoutMs: MAX_DEADLINE_MS,
    ...(options.shutdownSignal === undefined ? {} : { shutdownSignal: options.shutdownSignal }),
    // Connect's type of a response is a patched one; the objects are the same.
    fallback: (request, response) => options.fallback(request, response as Parameters<RequestHandler>[1]),
  });
  if (late.router === undefined || late.rules === undefined) {
    throw new Error("the routes were not registered");
  }
  return {
    handle: withBodyTimeout(late.router, handle, options.bodyTimeoutMs ?? BODY_TIMEOUT_MS),
    scoped: late.rules.scoped,
  };
}
