import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";

const CHECK_MS = 20;
/** How much of a request that is refused is still taken, of HTTP/1.1. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024;
/** How long, ms, and how long without a byte. */
const MAX_LINGER_MS = 2_000;
const MAX_SILENCE_MS = 250;

/**
 * Makes sure that whoever is refused in mid-request gets to read why.
 *
 * A stream of HTTP/2 is ended once its answer is out: nobody reads the rest of its request, so it would stay half open,
 * count against the streams of its connection, and the client would keep in memory what it can't send. A connection of
 * HTTP/1.1 is closed by Node as soon as the answer is written; what the client sends into it then resets it, and the
 * answer is lost on the way. So the end of such an answer waits while the rest of the request is taken and dropped, and
 * the answer says that the connection ends with it: Node does not read the next request of one whose body nobody wanted.
 */
export function releaseUnread(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): void {
  if ("stream" in response) {
    releaseStream(response);
  } else {
    linger(request as IncomingMessage, response);
  }
}

function linger(request: IncomingMessage, response: ServerResponse): void {
  const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => ServerResponse;
  response.writeHead = (...args: unknown[]) => {
    if (!request.complete) response.setHeader("connection", "close");
    return writeHead(...args);
  };
  const end = response.end.bind(response) as (...args: unknown[]) => ServerResponse;
  response.end = ((...args: unknown[]) => {
    if (request.complete || request.destroyed || response.writableEnded) return end(...args);
    response.end = end as ServerResponse["end"];
    let discarded = 0;
    const timer = setTimeout(finish, MAX_LINGER_MS);
    let silence = setTimeout(finish, MAX_SILENCE_MS);
    function finish(): void {
      clearTimeout(timer);
      clearTimeout(silence);
      request.off("data", discard).off("end", finish).off("close", finish);
      end(...args);
    }
    function discard(chunk: Buffer): void {
      discarded += chunk.length;
      clearTimeout(silence);
      if (discarded > MAX_DISCARDED_BYTES) finish();
      else silence = setTimeout(finish, MAX_SILENCE_MS);
    }
    request.on("data", discard).on("end", finish).on("close", finish);
    return response;
  }) as ServerResponse["end"];
}

function releaseStream({ stream }: Http2ServerResponse): void {
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
