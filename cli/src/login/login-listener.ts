import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isSame } from "./login-code.ts";

/** Waits on a port of this host for the browser to come back from the gateway's page. */
export interface LoginListener {
  readonly port: number;
  /** Resolves when the browser brings a code with the right state. */
  readonly arrival: Promise<Arrival>;
  /** Ends it; pages that were promised are sent before. */
  close(): Promise<void>;
}

/** A browser that brought a code and waits for its page. */
export interface Arrival {
  readonly code: string;
  /** Tells the person in the browser how it went. */
  tell(words: string): Promise<void>;
}

const MAX_CODE = 128;

/** Listens on 127.0.0.1, on a port that the system chooses. */
export async function listenForLogin(state: string): Promise<LoginListener> {
  const arrived = Promise.withResolvers<Arrival>();
  let taken = false;
  const server = createServer({ maxHeaderSize: 16 * 1024 }, (request, response) => {
    const { port } = server.address() as AddressInfo;
    // Another name that leads here is a page of the web that had its name resolved to this host.
    const here = request.headers.host === `127.0.0.1:${port}`;
    const url = new URL(request.url ?? "/", `http://127.0.0.1:${port}`);
    if (!here || request.method !== "GET" || url.pathname !== "/") {
      void answer(response, 404, "There is nothing here.");
      return;
    }
    const code = url.searchParams.get("code") ?? "";
    if (code === "" || code.length > MAX_CODE || !isSame(url.searchParams.get("state") ?? "", state)) {
      void answer(response, 400, "This is no login that hermit waits for. Start it again in the terminal.");
      return;
    }
    if (taken) {
      void answer(response, 400, "This login was used already.");
      return;
    }
    taken = true;
    arrived.resolve({ code, tell: (words) => answer(response, 200, words) });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    arrival: arrived.promise,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A page without scripts, styles of other hosts, or anything that was sent here. Resolves when it is on its way. */
function answer(response: ServerResponse, status: number, words: string): Promise<void> {
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    connection: "close",
  });
  const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>hermit</title></head>
<body><h1>OpenHermit Mesh</h1><p>${words}</p></body>
</html>
`;
  return new Promise((resolve) => {
    response.once("close", resolve);
    response.end(page);
  });
}
