import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";

import { toJson } from "@bufbuild/protobuf";
import { newUuidV7 } from "@openhermit/ids";
import type { Agent } from "@openhermit/protocol/fleet/v1/agent";
import { FleetHealthSchema, HealthState, type FleetHealth } from "@openhermit/protocol/health/v1/health";
import type { Log } from "@openhermit/telemetry";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";

import type { RequestHandler } from "../listener/listener.ts";
import type { BrowserSessions } from "./browser-session.ts";
import type { LoginCodes } from "./login-codes.ts";
import { loginPage, statusPage } from "./pages.ts";

/** What the pages and the plain HTTP endpoints are made of. */
export interface WebOptions {
  version: string;
  log: Log;
  sessions: BrowserSessions;
  codes: LoginCodes;
  /** The gateway's own URL, for login links. */
  url(): string;
  /** Whether the request carries the operator's token. */
  isOperator(headers: Headers): Promise<boolean>;
  /** How the fleet is; answers always. */
  health(): Promise<FleetHealth>;
  /** One page of the agents. */
  agents(pageToken: string): Promise<{ agents: Agent[]; nextPageToken: string }>;
  /** All metrics as text. */
  metrics(): Promise<string>;
  /** Whether /metrics is open to everybody who reaches the listener. */
  openMetrics: boolean;
}

/** The word of a state. */
export const healthWord = (state: HealthState): "OK" | "DEGRADED" | "DOWN" =>
  state === HealthState.OK ? "OK" : state === HealthState.DEGRADED ? "DEGRADED" : "DOWN";

/** The path of a login link. */
export const loginPath = (code: string): string => `/login?code=${code}`;

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Creates the handler of everything that is no call: /livez, /health, /metrics, /login, the status page. */
export async function createWeb(options: WebOptions): Promise<RequestHandler> {
  const { sessions, codes, log } = options;
  const stylesheet = await readFile(new URL("./pages.css", import.meta.url), "utf8");
  const metrics = cached(1_000, options.metrics);
  const app = fastify({ logger: false, bodyLimit: 1024, genReqId: () => newUuidV7() });

  app.addHook("onRequest", async (request, reply) => {
    reply.headers({ ...HEADERS, "x-request-id": request.id });
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ error: "nothing is at this path; calls go to /<package>.<Service>/<Method>" }),
  );
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status < 500) {
      return reply.code(status).send({ error: error.message });
    }
    log.error({ err: error, request_id: request.id, path: request.routeOptions.url }, "page failed");
    return reply.code(500).send({ error: "something went wrong inside the gateway", request_id: request.id });
  });

  app.get("/livez", (_request, reply) => reply.type("text/plain; charset=utf-8").send("ok\n"));

  app.get("/health", async (request, reply) => {
    const health = await options.health();
    reply.code(healthWord(health.state) === "DOWN" ? 503 : 200);
    return (await isOperator(request)) ? toJson(FleetHealthSchema, health) : { status: healthWord(health.state) };
  });

  app.get("/metrics", async (request, reply) => {
    if (!options.openMetrics && !(await isOperator(request))) {
      return reply.callNotFound();
    }
    return reply.type("text/plain; version=0.0.4; charset=utf-8").send(await metrics());
  });

  app.get("/assets/pages.css", (_request, reply) => reply.type("text/css; charset=utf-8").send(stylesheet));

  // Browsers and chat programs look at links with HEAD before a person opens them: that must not use up the code.
  app.get("/login", { exposeHeadRoute: false }, async (request, reply) => {
    const { code } = request.query as { code?: unknown };
    if (typeof code !== "string" || !codes.consume(code)) {
      return page(reply.code(403), loginPage("This login link was used already, or it is too old."));
    }
    return reply.header("set-cookie", await sessions.open()).redirect("/", 303);
  });

  app.post("/login-links", async (request, reply) => {
    if (!(await isOperator(request))) {
      return reply.code(401).send({ error: "a login link is made for the operator only; send the operator's token" });
    }
    return reply.code(201).send({ url: options.url() + loginPath(codes.create()) });
  });

  app.get("/", async (request, reply) => {
    if (!(await sessions.verify(request.headers.cookie))) {
      return page(reply.code(401), loginPage());
    }
    const { page_token: token } = request.query as { page_token?: unknown };
    const [health, list] = await Promise.all([
      options.health(),
      options.agents(typeof token === "string" ? token : "").catch((error: unknown) => {
        log.debug({ err: error }, "agents not readable for the page");
        return { agents: undefined, nextPageToken: "" };
      }),
    ]);
    return page(reply, statusPage({ version: options.version, now: new Date(), health, ...list }));
  });

  function isOperator(request: FastifyRequest): Promise<boolean> {
    const { authorization } = request.headers;
    return options.isOperator(new Headers(authorization === undefined ? {} : { authorization }));
  }

  await app.ready();
  return (request, response) => app.routing(request as IncomingMessage, response as ServerResponse);
}

function page(reply: FastifyReply, text: string): FastifyReply {
  return reply.type("text/html; charset=utf-8").send(text);
}

// Writing many series takes time: scrapers that come together share one text.
function cached(ms: number, make: () => Promise<string>): () => Promise<string> {
  let text: Promise<string> | undefined;
  let until = 0;
  return () => {
    const now = performance.now();
    if (text === undefined || now > until) {
      until = now + ms;
      text = make();
    }
    return text;
  };
}
