import type { ServerResponse } from "node:http";

import { createGrpcTransport } from "@connectrpc/connect-node";
import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { unauthenticated } from "@openhermit/errors";
import { createTelemetry } from "@openhermit/telemetry";
import { testLog, type TestLog } from "@openhermit/testing";

import { createAttemptLimits } from "../access/attempt-limits.ts";
import { listen } from "../listener/listener.ts";
import { createRpcHandler, type RpcHandler, type RpcOptions } from "../rpc/rpc.ts";
import { createTestAccess, type TestAccess } from "./test-access.ts";

/** A server of calls with callers of its own: `authorization: Bearer sidecar`, or a principal of its access by name. */
export interface CallServer {
  readonly url: string;
  readonly log: TestLog;
  readonly access: TestAccess;
  readonly scoped: RpcHandler["scoped"];
  /** A gRPC client's transport with this credential; without one, an anonymous client's. */
  as(name?: string): Transport;
  close(): Promise<void>;
}

/** Serves the routes behind the gateway's gate and interceptors. */
export async function serveCalls(
  routes: (router: ConnectRouter) => void,
  options: Partial<RpcOptions> & { access?: TestAccess } = {},
): Promise<CallServer> {
  const log = testLog();
  const access = options.access ?? createTestAccess();
  const { handle, scoped } = createRpcHandler({
    routes,
    verifier: {
      async verify({ headers }) {
        const header = headers.get("authorization");
        if (header === null) return { kind: "anonymous" };
        if (header === "Bearer sidecar") return { kind: "sidecar", sidecarId: "one", agentIds: ["one"] };
        const principal = access.principals.get(header.slice("Bearer ".length));
        if (principal === undefined || !access.isCurrent(principal)) {
          throw unauthenticated("CREDENTIAL_INVALID", "the credential of this call is not valid, or no longer");
        }
        return { kind: "principal", principal };
      },
    },
    policy: access,
    limits: createAttemptLimits(),
    admit: () => undefined,
    telemetry: await createTelemetry({ service: "test", version: "1", env: {} }),
    log,
    fallback: (_request, response) => void (response as ServerResponse).writeHead(404).end(),
    ...options,
  });
  const listener = await listen({ host: "127.0.0.1", port: 0, log, handler: handle });
  return {
    url: listener.url,
    log,
    access,
    scoped,
    as: (name) =>
      createGrpcTransport({
        baseUrl: listener.url,
        interceptors: [
          (next) => (request) => {
            if (name !== undefined) {
              request.header.set("authorization", `Bearer ${name}`);
            }
            return next(request);
          },
        ],
      }),
    close: () => listener.close(0),
  };
}
