import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer as createNetServer, type AddressInfo, type Server as NetServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";

import { failedPrecondition, invalidArgument, toError, type MeshError } from "@openhermit/errors";
import type { Log } from "@openhermit/telemetry";

import { isLoopback } from "./loopback.ts";
import { peekProtocol, type Protocol } from "./protocol-peek.ts";
import { releaseUnread } from "./release-unread.ts";
import { createStallGuard } from "./stall-guard.ts";

/** Serves one request, of HTTP/1.1 or HTTP/2. */
export type RequestHandler = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
) => void;

/** How a listener listens. */
export interface ListenerOptions {
  /** The host to bind. */
  host: string;
  /** The port; 0 lets the system choose. */
  port: number;
  /** PEM texts. With them the listener speaks TLS only, without them plain text only. */
  tls?: { cert: string; key: string } | undefined;
  /** Allows plain text on a host that is not loopback. Default false. */
  insecure?: boolean;
  /** Serves each request. */
  handler: RequestHandler;
  log: Log;
  /** The setting that says where it listens, for what a person is told. Default `--listen`. */
  setting?: string;
  /** How long a client may take to send the headers of a request, ms. Default 10,000. */
  headerTimeoutMs?: number;
  /** How long a response may wait for its reader without progress, ms. Default 60,000. */
  stallTimeoutMs?: number;
}

/** One open port. */
export interface Listener {
  /** `http://127.0.0.1:8780`, with the port that was bound and a host that can be dialled from this machine. */
  readonly url: string;
  /** The port that was bound. */
  readonly port: number;
  /** Accepts no more connections and asks the open ones to finish; what is open after the grace is cut. */
  close(graceMs: number): Promise<void>;
}

const HEADER_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
const STALL_TIMEOUT_MS = 60_000;
/** Requests of one connection that are served at the same time. */
const MAX_STREAMS = 100;
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Opens one port for HTTP/1.1 and HTTP/2. Plain text is told apart by the connection preface, TLS by ALPN.
 * Bounds: 100 streams a connection, 16 KiB of headers, 10 s for them, resets and slow readers cut off.
 * Throws FAILED_PRECONDITION with a sentence for a person when the port can't be had.
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  if (options.tls === undefined && !options.insecure && !isLoopback(options.host)) {
    throw failedPrecondition(
      "LISTEN_INSECURE",
      `${options.host} can be reached from other machines, and without TLS everything sent there can be read`,
      { hint: "give a certificate and its key, listen on 127.0.0.1, or allow it with OPENHERMIT_INSECURE=true" },
    );
  }
  const headerTimeoutMs = options.headerTimeoutMs ?? HEADER_TIMEOUT_MS;
  const stalls = createStallGuard(options.stallTimeoutMs ?? STALL_TIMEOUT_MS);
  const inFlight = new WeakMap<Socket, number>();
  const handler: RequestHandler = (request, response) => {
    if (!("stream" in response)) {
      const { socket } = request;
      const count = (inFlight.get(socket) ?? 0) + 1;
      inFlight.set(socket, count);
      // Nobody pipelines so much but to be answered without ever reading; Node itself has no bound.
      if (count > MAX_STREAMS) socket.destroy();
      if (socket.destroyed) return;
      response.once("close", () => inFlight.set(socket, (inFlight.get(socket) ?? 1) - 1));
    }
    stalls.watch(response);
    releaseUnread(request, response);
    options.handler(request, response);
  };

  const http1 = createHttpServer(
    {
      headersTimeout: headerTimeoutMs,
      requestTimeout: Math.max(REQUEST_TIMEOUT_MS, headerTimeoutMs),
      connectionsCheckingInterval: Math.min(5_000, headerTimeoutMs),
      keepAliveTimeout: 30_000,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    handler,
  );
  // It never listens itself, so the event that starts its check for slow clients is given by hand.
  http1.emit("listening");
  const http2 = createHttp2Server(
    {
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES, enablePush: false },
      maxSessionMemory: 16,
      maxSessionInvalidFrames: 100,
      streamResetBurst: 200,
      streamResetRate: 50,
      unknownProtocolTimeout: headerTimeoutMs,
    },
    handler,
  );
  const sessions = new Set<ServerHttp2Session>();
  http2.on("session", (session) => {
    sessions.add(session);
    // A client that opens a session and sends no request holds a connection for nothing.
    const timer = setTimeout(() => session.destroy(), headerTimeoutMs);
    session.once("stream", () => clearTimeout(timer));
    session.once("close", () => {
      clearTimeout(timer);
      sessions.delete(session);
    });
    session.on("error", (error: Error) => options.log.debug({ err: error }, "http2 session failed"));
  });
  http2.on("sessionError", () => {});

  const sockets = new Set<Socket>();
  const serve = (socket: Socket, protocol: Protocol) =>
    (protocol === "http2" ? http2 : http1).emit("connection", socket);
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => sockets.delete(socket));
  };
  let server: NetServer;
  if (options.tls === undefined) {
    server = createNetServer((socket) => {
      track(socket);
      peekProtocol(socket, headerTimeoutMs, (protocol) => serve(socket, protocol));
    });
  } else {
    const tls = createTlsListener(options.tls, headerTimeoutMs);
    tls.on("secureConnection", (socket: TLSSocket) => {
      track(socket);
      serve(socket, socket.alpnProtocol === "h2" ? "http2" : "http1");
    });
    tls.on("tlsClientError", (error: Error) => options.log.debug({ err: error }, "tls handshake failed"));
    server = tls;
  }
  await bind(server, options);
  const { port } = server.address() as AddressInfo;

  return {
    port,
    url: `${options.tls === undefined ? "http" : "https"}://${dialHost(options.host)}:${port}`,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      http1.close(() => {});
      http1.closeIdleConnections();
      for (const session of sessions) {
        session.close();
      }
      const timer = setTimeout(() => {
        for (const socket of sockets) {
          socket.destroy();
        }
      }, graceMs);
      await closed;
      clearTimeout(timer);
      stalls.close();
    },
  };
}

function createTlsListener(tls: { cert: string; key: string }, handshakeTimeout: number) {
  try {
    return createTlsServer({
      cert: tls.cert,
      key: tls.key,
      ALPNProtocols: ["h2", "http/1.1"],
      minVersion: "TLSv1.2",
      handshakeTimeout,
    });
  } catch (error) {
    throw invalidArgument(
      "TLS_CERTIFICATE_INVALID",
      `the TLS certificate and key can't be used: ${toError(error).message}`,
      { hint: "both must be PEM and belong together", cause: error },
    );
  }
}

async function bind(server: NetServer, options: ListenerOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host: options.host, port: options.port }, resolve);
  try {
    await promise;
  } catch (error) {
    throw listenError(options, error);
  }
  server.off("error", reject);
  server.on("error", (error) => options.log.error({ err: error }, "listener failed"));
}

function listenError({ host, port, setting = "--listen" }: ListenerOptions, error: unknown): MeshError {
  const fields = { host, port: String(port) };
  switch ((error as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return failedPrecondition("PORT_IN_USE", `port ${port} of ${host} is in use by another program`, {
        hint: `stop that program, or choose another port with ${setting}`,
        fields,
        cause: error,
      });
    case "EACCES":
      return failedPrecondition("PORT_NOT_ALLOWED", `this user may not open port ${port} of ${host}`, {
        hint: `choose a port above 1023 with ${setting}`,
        fields,
        cause: error,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return failedPrecondition("HOST_NOT_LOCAL", `"${host}" is not an address of this machine`, {
        hint: "listen on 127.0.0.1, on 0.0.0.0 for all addresses, or on an address that this machine has",
        fields,
        cause: error,
      });
    default:
      return failedPrecondition("LISTEN_FAILED", `can't listen on ${host}:${port}: ${toError(error).message}`, {
        fields,
        cause: error,
      });
  }
}

function dialHost(host: string): string {
  if (host === "0.0.0.0") {
    return "127.0.0.1";
  }
  if (host === "::") {
    return "[::1]";
  }
  return host.includes(":") ? `[${host}]` : host;
}
