import type { DescMethod } from "@bufbuild/protobuf";
import { createContextValues, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { MeshError } from "@openhermit/errors";
import type { Log, Telemetry } from "@openhermit/telemetry";

import { createAccessRules, type RightCheck } from "../access/access-rules.ts";
import type { CredentialVerifier } from "../access/credential-verifier.ts";
import type { RequestHandler } from "../listener/listener.ts";
import { BODY_TIMEOUT_MS, withBodyTimeout } from "./body-timeout.ts";
import { peerKey } from "./call-context.ts";
import { authorize } from "./interceptors/authorize.ts";
import { DEFAULT_DEADLINE_MS, keepDeadlines, MAX_DEADLINE_MS } from "./interceptors/deadline.ts";
import { mapErrors } from "./interceptors/errors.ts";
import { logCalls } from "./interceptors/log.ts";
import { traceCalls } from "./interceptors/trace.ts";
import { validate } from "./interceptors/validate.ts";
import { createRequestGate } from "./request-gate.ts";
import { createRpcMetrics } from "./rpc-metrics.ts";

/** The largest message that is read or written, bytes, after decompression. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** What the calls are served with. */
export interface RpcOptions {
  /** Registers the services. */
  routes(router: ConnectRouter): void;
  verifier: CredentialVerifier;
  /** Whether a principal holds a right. */
  holds: RightCheck;
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

/** Creates the handler of all calls, in the protocols Connect, gRPC and gRPC-Web. */
export function createRpcHandler(options: RpcOptions): RequestHandler {
  const { telemetry, log } = options;
  const rules = createAccessRules();
  const metrics = createRpcMetrics(telemetry.meter);
  // From the outside in. The caller is known before: the gate authenticates without reading the body.
  const interceptors: Interceptor[] = [
    traceCalls(telemetry),
    logCalls(log, metrics),
    mapErrors(log),
    keepDeadlines(options.defaultDeadlineMs ?? DEFAULT_DEADLINE_MS),
    authorize(rules, options.holds),
    validate(),
  ];
  let router: ConnectRouter | undefined;
  const handler = connectNodeAdapter({
    routes(made) {
      options.routes(made);
      router = made;
    },
    interceptors,
    requestGate: createRequestGate({ rules, verifier: options.verifier, admit: options.admit, metrics, log }),
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
  if (router === undefined) {
    throw new Error("the routes were not registered");
  }
  return withBodyTimeout(router, handler, options.bodyTimeoutMs ?? BODY_TIMEOUT_MS);
}
