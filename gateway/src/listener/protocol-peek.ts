import type { Socket } from "node:net";

// RFC 9113, section 3.4. No HTTP/1.1 request can begin with it.
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** What a connection speaks. */
export type Protocol = "http1" | "http2";

/**
 * Tells HTTP/2 from HTTP/1.1 by the first bytes of a connection and gives the bytes back to the socket, so that a
 * server can take it over. A connection that says nothing decisive within the timeout is destroyed.
 */
export function peekProtocol(socket: Socket, timeoutMs: number, decided: (protocol: Protocol) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  const finish = () => {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("close", finish);
    socket.off("end", onEnd);
    socket.off("error", onError);
  };
  // The error itself says nothing of interest: "close" follows.
  const onError = () => {};
  const onEnd = () => socket.destroy();
  const onReadable = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      return;
    }
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, PREFACE.length);
    const matches = seen.subarray(0, compared).equals(PREFACE.subarray(0, compared));
    if (matches && compared < PREFACE.length) {
      return;
    }
    finish();
    socket.unshift(seen);
    decided(matches ? "http2" : "http1");
  };
  socket.on("readable", onReadable);
  socket.once("close", finish);
  socket.once("end", onEnd);
  socket.on("error", onError);
}
