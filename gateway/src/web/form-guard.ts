import { createHmac, timingSafeEqual } from "node:crypto";

import { permissionDenied, type MeshError } from "@openhermit/errors";
import { newCode } from "@openhermit/ids";
import type { FastifyReply, FastifyRequest } from "fastify";

import { cookie, endedCookie, readCookie } from "./cookie.ts";
import { hiddenField } from "./form-field.ts";
import type { Html } from "./html.ts";
import { headersOf, sentField } from "./web-request.ts";

/** Tells a form that a page of this gateway sent from one that another site sent with the same cookies. */
export interface FormGuard {
  /** The hidden field of a form of somebody who is not logged in. Sets the cookie it belongs to. */
  openField(request: FastifyRequest, reply: FastifyReply): Html;
  /** The hidden field of a form within a session. */
  sessionField(sessionSecret: string): Html;
  /** Why a form must not be taken; undefined when it may. Without the secret of a session, for an open form. */
  refusal(request: FastifyRequest, sessionSecret?: string): MeshError | undefined;
  /** The `set-cookie` header that ends the cookie of open forms: after a login. */
  readonly ended: string;
}

const COOKIE = "openhermit_form";
const FIELD = "form_token";
const LIFETIME_S = 3600;
const SECRET = /^[\w-]{43}$/;

/**
 * Creates the guard. A form carries a MAC keyed with a secret that only the browser and this gateway know: that of the
 * session, or before there is one that of a cookie for an hour. So nothing is kept here, and every gateway can check it.
 * Besides, the browser must say that the form came from the same origin.
 */
export function createFormGuard(options: { secure: boolean; isSameOrigin(headers: Headers): boolean }): FormGuard {
  const { secure } = options;
  const readSecret = (request: FastifyRequest) => {
    const secret = readCookie(request.headers.cookie, COOKIE, secure);
    return secret !== undefined && SECRET.test(secret) ? secret : undefined;
  };
  return {
    ended: endedCookie(COOKIE, secure),
    openField(request, reply) {
      // The same secret for all tabs of a browser, or only the newest form would work.
      const secret = readSecret(request) ?? newCode();
      reply.header("set-cookie", cookie(COOKIE, secret, LIFETIME_S, secure));
      return hiddenField(FIELD, mac(secret));
    },
    sessionField: (sessionSecret) => hiddenField(FIELD, mac(sessionSecret)),
    refusal(request, sessionSecret) {
      if (!options.isSameOrigin(headersOf(request))) {
        return permissionDenied("ORIGIN_REFUSED", "this form was not sent by a page of this gateway", {
          hint: "open the page at the gateway's own address and send the form again",
        });
      }
      const secret = sessionSecret ?? readSecret(request);
      const sent = Buffer.from(sentField(request, FIELD));
      const expected = Buffer.from(secret === undefined ? "" : mac(secret));
      if (secret === undefined || sent.length !== expected.length || !timingSafeEqual(sent, expected)) {
        return permissionDenied("FORM_EXPIRED", "this form is too old, or your browser did not keep its cookie", {
          hint: "open the page again and allow cookies for it",
        });
      }
      return undefined;
    },
  };
}

function mac(secret: string): string {
  return createHmac("sha256", secret).update("openhermit form").digest("base64url");
}
