import type { ServerResponse } from "node:http";

import { createGrpcTransport } from "@connectrpc/connect-node";
import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { unauthenticated } from "@openhermit/errors";
import { createTelemetry } from "@openhermit/telemetry";
import { testLog, type TestLog } from "@openhermit/testing";

import { operatorOnly } from "../access/access-rules.ts";
import type { Caller } from "../access/caller.ts";
import { listen } from "../listener/listener.ts";
import { createRpcHandler, type RpcOptions } from "../rpc/rpc.ts";

/** A server of calls with callers of its own: `authorization: Bearer operator`, `guest` or `sidecar`. */
export interface CallServer {
  readonly url: string;
  readonly log: TestLog;
  /** A gRPC client's transport with this credential; without one, an anonymous client's. */
  as(name?: "operator" | "guest" | "sidecar" | "forged"): Transport;
  close(): Promise<void>;
}

const CALLERS: Readonly<Record<string, Caller>> = {
  "Bearer operator": { kind: "principal", id: "operator" },
  "Bearer guest": { kind: "principal", id: "guest" },
  "Bearer sidecar": { kind: "sidecar", sidecarId: "one", agentIds: ["one"] },
};

/** Serves the routes behind the gateway's gate and interceptors. */
export async function serveCalls(
  routes: (router: ConnectRouter) => void,
  options: Partial<RpcOptions> = {},
): Promise<CallServer> {
  const log = testLog();
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    log,
    handler: createRpcHandler({
      routes,
      verifier: {
        async verify(headers) {
          const header = headers.get("authorization");
          const caller: Caller | undefined = header === null ? { kind: "anonymous" } : CALLERS[header];
          if (caller === undefined) {
            throw unauthenticated("CREDENTIAL_INVALID", "the credential of this call is not valid, or no longer");
          }
          return caller;
        },
      },
      holds: operatorOnly,
      admit: () => undefined,
      telemetry: await createTelemetry({ service: "test", version: "1", env: {} }),
      log,
      fallback: (_request, response) => void (response as ServerResponse).writeHead(404).end(),
      ...options,
    }),
  });
  return {
    url: listener.url,
    log,
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
