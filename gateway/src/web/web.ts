import type { IncomingMessage, ServerResponse } from "node:http";

import formbody from "@fastify/formbody";
import { MeshError, notFound, toError } from "@openhermit/errors";
import { newUuidV7 } from "@openhermit/ids";
import { fastify, type FastifyReply, type FastifyRequest } from "fastify";

import type { RequestHandler } from "../listener/listener.ts";
import { cliLoginRoutes } from "./cli-login-page.ts";
import { errorPage, httpStatus, meshErrorPage, retryAfter } from "./error-page.ts";
import { inviteRoutes } from "./invite-page.ts";
import { loginRoutes, sendLogin } from "./login-page.ts";
import { nextPath } from "./next-path.ts";
import { oidcRoutes } from "./oidc-routes.ts";
import { credentialMissing, plainEndpoints, senderOf } from "./plain-endpoints.ts";
import { setupRoutes } from "./setup-page.ts";
import { statusRoutes } from "./status-page.ts";
import { createWebContext, isReason, secureHeaders, sendPage } from "./web-context.ts";
import type { WebOptions } from "./web-options.ts";

export { healthWord } from "./health-word.ts";
export { loginPath } from "./login-page.ts";
export { setupPath } from "./setup-page.ts";
export type { WebOptions } from "./web-options.ts";

/** Larger than a password of 256 characters, each of them four bytes and encoded. */
const BODY_LIMIT = 8 * 1024;

/** Creates the handler of everything that is no call: the pages and their forms, /livez, /health, /metrics. */
export async function createWeb(options: WebOptions): Promise<RequestHandler> {
  const { log } = options;
  const web = createWebContext(options);
  const app = fastify({ logger: false, bodyLimit: BODY_LIMIT, genReqId: () => newUuidV7() });
  // A form is the only body there is: a browser sends JSON and plain text to another site without asking it.
  app.removeAllContentTypeParsers();
  await app.register(formbody, { bodyLimit: BODY_LIMIT });

  app.addHook("onRequest", async (request, reply) => {
    secureHeaders(reply, request.id);
    // Here, and not in a handler: a body must not be looked at for a path that is none.
    return request.is404 ? answerUnknownPath(request, reply) : undefined;
  });
  app.setErrorHandler(fail);
  const pages = [statusRoutes, loginRoutes, oidcRoutes, setupRoutes, inviteRoutes, cliLoginRoutes];
  for (const routes of [plainEndpoints, ...pages]) {
    await routes(app, web);
  }
  await app.ready();
  return (request, response) => app.routing(request as IncomingMessage, response as ServerResponse);

  async function answerUnknownPath(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const isVisit = wantsPage(request) && request.method === "GET";
    const sender = await senderOf(web, request).catch((error: unknown) => {
      // The session of a browser has ended: that is where the login is for.
      if (isVisit && isReason(error, "CREDENTIAL_INVALID")) return undefined;
      throw error;
    });
    if (sender === undefined && isVisit) {
      return sendLogin(web, request, reply, { next: nextPath(request.url), status: 401 });
    }
    throw sender === undefined
      ? credentialMissing("this path")
      : notFound("PATH_NOT_FOUND", "nothing is at this path", { hint: "calls go to /<package>.<Service>/<Method>" });
  }

  function fail(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const error = toError(thrown) as Error & { statusCode?: number };
    const isPage = wantsPage(request);
    if (error instanceof MeshError) {
      const seconds = retryAfter(error);
      if (seconds !== undefined) reply.header("retry-after", String(seconds));
      if (error.code === "unauthenticated") reply.header("www-authenticate", "Bearer");
      if (error.code === "unavailable") log.debug({ err: error, request_id: request.id }, "page not available");
      const renews = request.method === "GET";
      return isPage
        ? sendPage(request, reply, meshErrorPage(error, request.id, renews), httpStatus(error))
        : sendJson(request, reply, httpStatus(error), error);
    }
    const status = error.statusCode ?? 500;
    const view =
      status < 500
        ? { message: error.message, reason: "REQUEST_INVALID", hint: "" }
        : {
            message: "something went wrong inside the gateway",
            reason: "INTERNAL",
            hint: "its log says more under the id of this request",
          };
    if (status >= 500) {
      log.error({ err: error, request_id: request.id, path: request.routeOptions.url }, "page failed");
    }
    return isPage
      ? sendPage(request, reply, errorPage({ title: "This did not work", ...view, requestId: request.id }), status)
      : sendJson(request, reply, status, view);
  }
}

interface Failure {
  readonly message: string;
  readonly reason: string;
  readonly hint: string;
}

function sendJson(request: FastifyRequest, reply: FastifyReply, status: number, failure: Failure): FastifyReply {
  const { message, reason, hint } = failure;
  return reply.code(status).send({ error: message, reason, hint, request_id: request.id });
}

// Programs that read JSON do not say that they take pages; browsers always do.
function wantsPage(request: FastifyRequest): boolean {
  return /text\/html/.test(request.headers.accept ?? "");
}
