import { isLoopback } from "../listener/loopback.ts";

/**
 * Whether a request comes from a page of the gateway itself: its Origin is one of the gateway's own, or, where a browser sends
 * none, it says that the page is of the same origin. The Host header proves nothing: a name that was rebound has it right.
 */
export function isSameOrigin(headers: Headers, ownOrigins: () => readonly string[]): boolean {
  const origin = headers.get("origin");
  return origin === null ? headers.get("sec-fetch-site") === "same-origin" : ownOrigins().includes(origin);
}

/** The origins of URLs at which the gateway is reached. One on loopback is reached as `localhost` too. */
export function originsOf(urls: readonly string[]): readonly string[] {
  const origins = new Set<string>();
  for (const text of urls) {
    const url = new URL(text);
    origins.add(url.origin);
    if (isLoopback(url.hostname.replaceAll(/[[\]]/g, ""))) {
      url.hostname = "localhost";
      origins.add(url.origin);
    }
  }
  return [...origins];
}
