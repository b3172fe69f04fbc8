import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

/** A gateway of a test: real HTTP/2, real generated code, handlers of the test's own. */
export interface TestGateway {
  readonly url: string;
  /** A home as a gateway leaves it, with its file and its token. */
  readonly home: string;
  /** The methods that were called, in order. */
  readonly calls: string[];
  /** The credential of each call; empty: none. */
  readonly credentials: string[];
  /** Cuts all connections, as a network does. */
  breakConnections(): void;
  close(): Promise<void>;
}

/** The token of the home. */
export const TOKEN = "ohm_test";
const PUBLIC = new Set(["ExchangeLoginCode"]);

/** Serves the routes to whoever brings the token of the home, or one of the others. */
export async function startTestGateway(
  routes: (router: ConnectRouter) => void,
  otherTokens: ReadonlySet<string> = new Set(),
): Promise<TestGateway> {
  const calls: string[] = [];
  const credentials: string[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer(
    connectNodeAdapter({
      routes,
      interceptors: [
        (next) => (request) => {
          calls.push(request.method.name);
          const credential = request.header.get("authorization") ?? "";
          credentials.push(credential);
          const token = credential.replace("Bearer ", "");
          if (token !== TOKEN && !otherTokens.has(token) && !PUBLIC.has(request.method.name)) {
            throw new ConnectError("the token is not valid", Code.Unauthenticated);
          }
          return next(request);
        },
      ],
    }),
  );
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const home = mkdtempSync(join(tmpdir(), "openhermit-cli-"));
  writeFileSync(join(home, "operator-token"), `${TOKEN}\n`, { mode: 0o600 });
  writeFileSync(join(home, "gateway.json"), JSON.stringify({ url, pid: process.pid, version: "0.0.0-test" }));
  const breakConnections = (): void => {
    for (const session of sessions) session.destroy();
  };
  return {
    url,
    home,
    calls,
    credentials,
    breakConnections,
    close: async () => {
      breakConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(home, { recursive: true, force: true });
    },
  };
}
