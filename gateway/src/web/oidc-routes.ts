import type { NewSession } from "@openhermit/access-service";
import { unauthenticated } from "@openhermit/errors";
import type { FastifyReply, FastifyRequest } from "fastify";

import { cookie, endedCookie, readCookie } from "./cookie.ts";
import { errorPage, httpStatus, meshErrorPage } from "./error-page.ts";
import { html } from "./html.ts";
import { nextPath } from "./next-path.ts";
import { createOidcClient, type BegunLogin } from "./oidc-client.ts";
import { isReason, sendPage, type PageRoutes } from "./web-context.ts";
import { attemptOf, urlParameter } from "./web-request.ts";

const COOKIE = "openhermit_oidc";
const LIFETIME_S = 600;

interface Kept extends BegunLogin {
  readonly next: string;
  /** Until when the login can be ended; ms since 1970. */
  readonly until: number;
}

/** GET /login/oidc leads to the provider of identities, GET /login/oidc/callback is where it leads back to. */
export const oidcRoutes: PageRoutes = (app, web) => {
  const { options } = web;
  const { oidc: config, secure, log, access } = options;
  if (config === undefined) {
    return;
  }
  const client = createOidcClient({ config, callbackUrl: () => `${options.url()}/login/oidc/callback` });

  app.get("/login/oidc", { exposeHeadRoute: false }, async (request, reply) => {
    const next = nextPath(urlParameter(request, "next"));
    let begin: Awaited<ReturnType<typeof client.begin>>;
    try {
      begin = await client.begin();
    } catch (error) {
      return refuse(error, request, reply);
    }
    const kept: Kept = { ...begin.begun, next, until: web.now().getTime() + LIFETIME_S * 1000 };
    const value = Buffer.from(JSON.stringify(kept)).toString("base64url");
    return reply.header("set-cookie", cookie(COOKIE, value, LIFETIME_S, secure)).redirect(begin.url.href, 303);
  });

  app.get("/login/oidc/callback", { exposeHeadRoute: false }, async (request, reply) => {
    // One login, one answer: whatever comes of it, the next one begins anew.
    reply.header("set-cookie", endedCookie(COOKIE, secure));
    const kept = readKept(readCookie(request.headers.cookie, COOKIE, secure), web.now());
    if (kept === undefined) {
      const details = { hint: `begin it again at ${options.url()}/login, in this browser` };
      const error = unauthenticated(
        "OIDC_LOGIN_INVALID",
        "no login was begun in this browser, or too long ago",
        details,
      );
      return refuse(web.denied(request, undefined, error), request, reply);
    }
    let hasRole = true;
    let session: NewSession;
    try {
      session = await web.present(request, async () => {
        const search = request.url.slice(request.url.indexOf("?"));
        const identity = await client.finish(search, kept);
        hasRole = identity.role !== undefined;
        return access.logins.logInExternally(identity, attemptOf(request));
      });
    } catch (error) {
      if (isReason(error, "LOGIN_FAILED")) return sendRefused(request, reply, hasRole);
      if (isReason(error, "OIDC_LOGIN_INVALID")) web.denied(request, undefined, error);
      return refuse(error, request, reply);
    }
    return web.enter(reply, session, kept.next);
  });

  function sendRefused(request: FastifyRequest, reply: FastifyReply, hasRole: boolean): FastifyReply {
    const why = hasRole ? "your account here is disabled" : "none of your groups there may come in here";
    const view = {
      title: "You can't come in",
      message: `${config?.name ?? ""} knows you, but ${why}`,
      hint: "Ask whoever runs this fleet to let you in",
      requestId: request.id,
    };
    return sendPage(request, reply, errorPage(view, html`<p><a href="/login">Log in in another way</a></p>`), 403);
  }

  function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    if (!isReason(thrown, "OIDC_LOGIN_INVALID", "IDENTITY_PROVIDER_UNAVAILABLE")) {
      throw thrown;
    }
    log.warn({ err: thrown, request_id: request.id }, "login with the provider of identities failed");
    const again = html`<p><a class="button" href="/login">To the login</a></p>`;
    return sendPage(request, reply, meshErrorPage(thrown, request.id, false, again), httpStatus(thrown));
  }
};

function readKept(value: string | undefined, now: Date): Kept | undefined {
  if (value === undefined) {
    return undefined;
  }
  try {
    const kept = JSON.parse(Buffer.from(value, "base64url").toString()) as Partial<Record<keyof Kept, unknown>> | null;
    const { state, nonce, verifier, next, until } = kept ?? {};
    const texts = [state, nonce, verifier, next].filter((text) => typeof text === "string" && text !== "");
    return texts.length === 4 && typeof until === "number" && until > now.getTime()
      ? { ...(kept as Kept), next: nextPath(String(next)) }
      : undefined;
  } catch {
    return undefined;
  }
}
