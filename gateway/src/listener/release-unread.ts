import type { ServerResponse } from "node:http";
import { constants, type Http2ServerResponse } from "node:http2";

const CHECK_MS = 20;

/**
 * Ends a stream of HTTP/2 whose answer has gone out although its request is not complete: one that was refused in
 * mid-request. Nobody reads the rest, so without this the stream stays half open, counts against the streams of its
 * connection, and the client keeps in memory what it can't send. HTTP/1.1 closes such a connection by itself.
 */
export function releaseUnread(response: ServerResponse | Http2ServerResponse): void {
  if (!("stream" in response)) return;
  const { stream } = response;
  const release = (): void => {
    if (stream.destroyed || stream.closed || stream.state.remoteClose === 1) return;
    // A reset overtakes trailers and what waits for a slow reader, so it must wait until the answer is out.
    if (stream.state.localClose !== 1) {
      setTimeout(release, CHECK_MS).unref();
      return;
    }
    stream.close(constants.NGHTTP2_NO_ERROR);
    // Node keeps the reset of a stream that is still being read to itself, until the stream is destroyed.
    stream.destroy();
  };
  stream.once("finish", () => {
    if (!stream.readableEnded) setImmediate(release);
  });
}
