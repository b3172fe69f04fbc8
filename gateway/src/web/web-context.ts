import type { NewSession, Principal } from "@openhermit/access-service";
import type { MeshError } from "@openhermit/errors";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import { createFormGuard, type FormGuard } from "./form-guard.ts";
import { document, type Page } from "./layout.ts";
import { endedSessionCookie, readSessionCookie, sessionCookie } from "./session-cookie.ts";
import type { WebOptions } from "./web-options.ts";
import { addressOf, requestActor } from "./web-request.ts";

/** What all pages share. */
export interface WebContext {
  readonly options: WebOptions;
  readonly forms: FormGuard;
  now(): Date;
  /** Whether somebody owns the fleet. Errors: DATABASE_UNAVAILABLE. */
  hasOwner(): Promise<boolean>;
  /** The session of the browser, if it is valid. Errors: ACCESS_UNAVAILABLE. */
  session(request: FastifyRequest): Promise<WebSession | undefined>;
  /** Puts a browser into a session, whatever it was in before, and leads it on. */
  enter(reply: FastifyReply, session: NewSession, next: string): FastifyReply;
  /** Takes a browser out of its session and leads it on. */
  leave(reply: FastifyReply, next: string): FastifyReply;
  /** Throws when a form must not be taken; that stands in the audit trail then. */
  checkForm(request: FastifyRequest, session?: WebSession): void;
  /** Puts a denied attempt into the audit trail; returns the error. */
  denied(request: FastifyRequest, principal: Principal | undefined, error: MeshError): MeshError;
  /** Makes a guess at a password: throws ATTEMPTS_LIMITED for an address that failed too often, and counts a failure. */
  guess<Result>(request: FastifyRequest, make: () => Promise<Result>): Promise<Result>;
  /**
   * Comes in with what nobody guesses, a code or the word of a provider of identities. What is right works whatever others at
   * the address tried: a login link is the way in when passwords are locked. Only failures are counted, and too many throw
   * ATTEMPTS_LIMITED.
   */
  present<Result>(request: FastifyRequest, make: () => Promise<Result>): Promise<Result>;
}

/** The session of a browser. */
export interface WebSession {
  readonly secret: string;
  readonly principal: Principal;
}

/** Adds the routes of one page. */
export type PageRoutes = (app: FastifyInstance, web: WebContext) => void | Promise<void>;

/** How long it is known that there is an owner: strangers open the login, each at the price of a statement otherwise. */
const OWNER_KEPT_MS = 1_000;

/** Creates what all pages share. */
export function createWebContext(options: WebOptions): WebContext {
  const { secure, access, attemptLimits } = options;
  const forms = createFormGuard({ secure, isSameOrigin: options.isSameOrigin });
  const denied: WebContext["denied"] = (request, principal, error) => {
    access.recordDenial({
      actor: requestActor(request, principal),
      action: `${request.method} ${request.routeOptions.url ?? "*"}`,
      targetType: "",
      targetId: "",
      reason: error.reason,
    });
    return error;
  };
  // Not kept for longer: the page of the login is also where people see that the database is away.
  let ownedUntil = 0;
  return {
    options,
    forms,
    async hasOwner() {
      if (performance.now() < ownedUntil) {
        return true;
      }
      const hasOwner = await access.logins.hasOwner();
      ownedUntil = hasOwner ? performance.now() + OWNER_KEPT_MS : 0;
      return hasOwner;
    },
    now: options.now ?? (() => new Date()),
    denied,
    async session(request) {
      const secret = readSessionCookie(request.headers.cookie, secure);
      const principal = secret === undefined ? undefined : await access.verifySession(secret);
      return secret === undefined || principal === undefined ? undefined : { secret, principal };
    },
    enter: (reply, session, next) =>
      reply
        .header("set-cookie", [sessionCookie(session.secret, session.expireTime, secure), forms.ended])
        .redirect(next, 303),
    leave: (reply, next) => reply.header("set-cookie", endedSessionCookie(secure)).redirect(next, 303),
    checkForm(request, session) {
      const refusal = forms.refusal(request, session?.secret);
      if (refusal !== undefined) {
        throw denied(request, session?.principal, refusal);
      }
    },
    guess: (request, make) => attemptLimits.attempt("login", addressOf(request), make, isFailure),
    async present(request, make) {
      try {
        return await make();
      } catch (error) {
        if (!isFailure(error)) throw error;
        const limited = attemptLimits.admit("setup", addressOf(request));
        attemptLimits.failed("setup", addressOf(request));
        throw limited ?? error;
      }
    },
  };
}

const isFailure = (error: unknown): boolean => isReason(error, "LOGIN_FAILED", "CODE_INVALID");

/** Whether what was thrown is a MeshError with one of these reasons. */
export function isReason(error: unknown, ...reasons: readonly string[]): error is MeshError {
  return error instanceof Error && "reason" in error && reasons.includes(String(error.reason));
}

const HEADERS = {
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // Not `no-referrer`: browsers would hide the origin of forms too, and no other site is told anything like this.
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
};

/** Sets the headers of every answer that is no call. */
export function secureHeaders(reply: FastifyReply, requestId: string, leadsTo?: string): void {
  const forms = leadsTo === undefined ? "'self'" : `'self' ${leadsTo}`;
  reply.headers({
    ...HEADERS,
    "content-security-policy": `default-src 'none'; style-src 'self'; base-uri 'none'; form-action ${forms}; frame-ancestors 'none'`,
    "x-request-id": requestId,
  });
}

/** Sends a page. */
export function sendPage(request: FastifyRequest, reply: FastifyReply, page: Page, status = 200): FastifyReply {
  secureHeaders(reply, request.id, page.leadsTo);
  return reply.code(status).type("text/html; charset=utf-8").send(document(page));
}
