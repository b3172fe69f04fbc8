import type { ConnectRouter } from "@connectrpc/connect";

import type { RequestHandler } from "../listener/listener.ts";

/** How long a client may take to send a request of one message, ms. */
export const BODY_TIMEOUT_MS = 60_000;

/**
 * Cuts a call whose one request message does not arrive in time: HTTP/2 has no timeout for that, and the deadline of the
 * call begins only when the message is there. Streams of messages may take as long as they like.
 */
export function withBodyTimeout(router: ConnectRouter, handler: RequestHandler, timeoutMs: number): RequestHandler {
  const streaming = new Set(
    router.handlers
      .filter(({ method }) => method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming")
      .map(({ requestPath }) => requestPath),
  );
  return (request, response) => {
    if (!streaming.has(request.url?.split("?", 1)[0] ?? "")) {
      const timer = setTimeout(() => response.destroy(), timeoutMs);
      const clear = () => clearTimeout(timer);
      request.once("end", clear);
      request.once("close", clear);
    }
    handler(request, response);
  };
}
