import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";

/** The ways to call the gateway. REST: JSON over HTTP/1.1, and GET for what has no side effects. */
export const SURFACES = ["Connect", "gRPC", "gRPC-Web", "REST"] as const;

/** A way to call the gateway. */
export type Surface = (typeof SURFACES)[number];

/** Makes transports of one gateway, and ends their connections. */
export interface Surfaces {
  /** A transport that sends these headers with every call. */
  transport(surface: Surface, headers?: Readonly<Record<string, string>>): Transport;
  close(): void;
}

/** Makes transports of the gateway at this URL. All callers of a surface share a connection, as behind a proxy. */
export function createSurfaces(baseUrl: string): Surfaces {
  const sessionManager = new Http2SessionManager(baseUrl);
  return {
    transport(surface, headers = {}) {
      const options = {
        baseUrl,
        interceptors: [
          (next) => (request) => {
            for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
            return next(request);
          },
        ] satisfies Parameters<typeof createGrpcTransport>[0]["interceptors"],
      };
      switch (surface) {
        case "Connect":
          return createConnectTransport({ ...options, httpVersion: "2", sessionManager });
        case "gRPC":
          return createGrpcTransport({ ...options, sessionManager });
        case "gRPC-Web":
          return createGrpcWebTransport({ ...options, httpVersion: "2", sessionManager });
        case "REST":
          return createConnectTransport({ ...options, httpVersion: "1.1", useBinaryFormat: false, useHttpGet: true });
      }
    },
    close: () => sessionManager.abort(),
  };
}
