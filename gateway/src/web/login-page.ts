import type { NewSession } from "@openhermit/access-service";
import type { FastifyReply, FastifyRequest } from "fastify";

import { formAlert, formField, hiddenField } from "./form-field.ts";
import { html } from "./html.ts";
import { card } from "./layout.ts";
import { nextPath } from "./next-path.ts";
import { isReason, sendPage, type PageRoutes, type WebContext } from "./web-context.ts";
import { attemptOf, sentField, urlParameter } from "./web-request.ts";

/** The path of a login link. */
export const loginPath = (code: string): string => `/login?code=${code}`;

const NOTICES: Readonly<Record<string, string>> = {
  "logged-out": "You are logged out.",
  again: "You logged in more than an hour ago. Log in again to go on.",
};

/** GET /login shows the form or opens a login link, POST /login takes the form, POST /logout ends the session. */
export const loginRoutes: PageRoutes = (app, web) => {
  const { logins } = web.options.access;

  // Browsers and chat programs look at links before a person opens them: that must not use up the code.
  app.get("/login", { exposeHeadRoute: false }, async (request, reply) => {
    const code = urlParameter(request, "code");
    const next = nextPath(urlParameter(request, "next"));
    if (code === "") {
      return sendLogin(web, request, reply, { next, notice: NOTICES[urlParameter(request, "notice")] });
    }
    if (/prefetch|prerender/.test(String(request.headers["sec-purpose"] ?? request.headers["purpose"] ?? ""))) {
      return reply.code(503).send();
    }
    let session: NewSession;
    try {
      session = await web.present(request, () => logins.logInWithLink(code, attemptOf(request)));
    } catch (error) {
      if (!isReason(error, "CODE_INVALID")) throw error;
      const alert = "This login link was used already, or it is too old. Get another with `bin/hermit open`.";
      return sendLogin(web, request, reply, { next, alert, status: 403 });
    }
    return web.enter(reply, session, next);
  });

  app.post("/login", async (request, reply) => {
    web.checkForm(request);
    const next = nextPath(sentField(request, "next"));
    const memberId = sentField(request, "member_id").trim();
    const password = sentField(request, "password");
    if (memberId === "" || password === "") {
      const wrong = memberId === "" ? "member" : "password";
      return sendLogin(web, request, reply, { next, memberId, wrong, status: 400 });
    }
    let session: NewSession;
    try {
      const attempt = attemptOf(request);
      session = await web.guess(request, () => logins.logIn({ memberId, password }, attempt));
    } catch (error) {
      if (!isReason(error, "LOGIN_FAILED")) throw error;
      const alert = "That member and that password do not belong together.";
      return sendLogin(web, request, reply, { next, memberId, alert, status: 401 });
    }
    return web.enter(reply, session, next);
  });

  app.post("/logout", async (request, reply) => {
    const session = await web.session(request);
    if (session !== undefined) {
      web.checkForm(request, session);
      await logins.logOut(session.principal, attemptOf(request));
    }
    return web.leave(reply, "/login?notice=logged-out");
  });
};

/** What the page of the login says besides its form. */
export interface LoginView {
  /** The path to go to afterwards. */
  next: string;
  memberId?: string;
  notice?: string | undefined;
  alert?: string;
  /** The field that is missing. */
  wrong?: "member" | "password";
  /** Default 200. */
  status?: number;
}

/** Sends the page of the login. */
export async function sendLogin(
  web: WebContext,
  request: FastifyRequest,
  reply: FastifyReply,
  view: LoginView,
): Promise<FastifyReply> {
  const { oidc } = web.options;
  const hasOwner = await web.hasOwner();
  const { next, memberId = "", wrong } = view;
  const body = html`${view.notice !== undefined && html`<p class="note" role="status">${view.notice}</p>`}
    ${formAlert(view.alert)}
    ${
      !hasOwner &&
      html`<p class="note">
        Nobody owns this fleet yet. To become its owner, run <code>bin/hermit setup</code> on the gateway's own machine.
      </p>`
    }
    ${
      oidc !== undefined &&
      html`<p>
          <a class="button other" href="/login/oidc?next=${encodeURIComponent(next)}">Log in with ${oidc.name}</a>
        </p>
        <p class="or idle"><span>or with a password</span></p>`
    }
    <form method="post" action="/login">
      ${web.forms.openField(request, reply)}${hiddenField("next", next)}
      ${formField({
        name: "member_id",
        label: "Member id",
        value: memberId,
        autocomplete: "username",
        maxLength: 63,
        error: wrong === "member" ? "Enter the id with which you were invited." : undefined,
        focus: memberId === "" && oidc === undefined,
      })}
      ${formField({
        name: "password",
        label: "Password",
        type: "password",
        autocomplete: "current-password",
        maxLength: 256,
        error: wrong === "password" ? "Enter your password." : undefined,
        focus: memberId !== "",
      })}
      <button type="submit">Log in</button>
    </form>
    <p class="idle">
      Forgot it? Ask an admin for a new invite. On the gateway's own machine <code>bin/hermit open</code> makes a login
      link that needs no password.
    </p>`;
  return sendPage(request, reply, { title: "Log in", body: card("Log in", body) }, view.status);
}
