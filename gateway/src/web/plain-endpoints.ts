import { readFile } from "node:fs/promises";

import { toJson } from "@bufbuild/protobuf";
import type { Principal } from "@openhermit/access-service";
import { permissionDenied, unauthenticated } from "@openhermit/errors";
import { FleetHealthSchema } from "@openhermit/protocol/health/v1/health";
import type { FastifyRequest } from "fastify";

import { healthWord } from "./health-word.ts";
import { metricsInReach } from "./metrics-filter.ts";
import { shareText } from "./shared-text.ts";
import { isReason, type PageRoutes, type WebContext } from "./web-context.ts";
import { addressOf, headersOf } from "./web-request.ts";

/** GET /livez, /health, /metrics and the assets of the pages. */
export const plainEndpoints: PageRoutes = async (app, web) => {
  const { options } = web;
  const stylesheet = await readFile(new URL("./pages.css", import.meta.url), "utf8");
  const metrics = shareText(1_000, options.metrics);

  app.get("/livez", (_request, reply) => reply.type("text/plain; charset=utf-8").send("ok\n"));

  app.get("/assets/pages.css", (_request, reply) => reply.type("text/css; charset=utf-8").send(stylesheet));

  // Browsers ask for it beside each page.
  app.get("/favicon.ico", (_request, reply) => reply.code(204).send());

  app.get("/health", async (request, reply) => {
    const principal = await senderOf(web, request).catch((error: unknown) => {
      // The word must not depend on whether somebody can be known just now.
      if (isReason(error, "ACCESS_UNAVAILABLE", "DATABASE_UNAVAILABLE")) return undefined;
      throw error;
    });
    const decision = principal && options.access.decide(principal, "health", "read");
    const whole = await options.health();
    reply.code(healthWord(whole.state) === "DOWN" ? 503 : 200);
    if (decision?.granted !== true) {
      return { status: healthWord(whole.state) };
    }
    return toJson(FleetHealthSchema, decision.agents.all ? whole : await options.health(decision.agents));
  });

  app.get("/metrics", async (request, reply) => {
    const principal = await senderOf(web, request);
    if (principal === undefined) {
      throw credentialMissing("/metrics");
    }
    const decision = options.access.decide(principal, "metrics", "read");
    if (!decision.granted) {
      const details = { hint: "ask an admin for it", fields: { right: "metrics:read" } };
      const error = permissionDenied("RIGHT_MISSING", "/metrics needs the right metrics:read", details);
      throw web.denied(request, principal, error);
    }
    const text = metricsInReach(await metrics(), decision.agents);
    return reply.type("text/plain; version=0.0.4; charset=utf-8").send(text);
  });
};

/** Who sends a request that is no form; undefined for nobody. Errors: as `WebOptions.authenticate`. */
export async function senderOf(web: WebContext, request: FastifyRequest): Promise<Principal | undefined> {
  const isGet = request.method === "GET" || request.method === "HEAD";
  return web.options.authenticate({ headers: headersOf(request), address: addressOf(request), isGet });
}

/** The error of a request that needs a credential and has none. */
export function credentialMissing(what: string) {
  return unauthenticated("CREDENTIAL_MISSING", `${what} needs a credential`, {
    hint: "log in, or send `authorization: Bearer <token>`",
  });
}
