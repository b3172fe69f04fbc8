import type { Principal } from "@openhermit/access-service";
import { invalidArgument } from "@openhermit/errors";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { FastifyReply, FastifyRequest } from "fastify";

import { hiddenField } from "./form-field.ts";
import { html } from "./html.ts";
import { card } from "./layout.ts";
import { identityName, roleWord } from "./role-word.ts";
import { sendPage, type PageRoutes, type WebContext, type WebSession } from "./web-context.ts";
import { sentField, urlParameter } from "./web-request.ts";

/** What a command line asks for. */
interface CliLogin {
  /** SHA-256 of a secret of the command line, base64url (RFC 7636, S256). */
  readonly challenge: string;
  /** What the command line calls itself, for example `alice on laptop`. */
  readonly name: string;
  /** Where it waits on this machine; empty: the code is pasted. */
  readonly port: string;
  /** What it recognises its own answer by. */
  readonly state: string;
}

const RECENT_MS = 60 * 60_000;
const MAX_NAME = 64;

/** GET /cli-login asks whether a command line may act as whoever is logged in, POST /cli-login hands the code over. */
export const cliLoginRoutes: PageRoutes = (app, web) => {
  app.get("/cli-login", async (request, reply) => {
    const asked = readAsked((name) => urlParameter(request, name));
    const session = await web.session(request);
    if (session === undefined || !isRecent(session.principal, web.now())) {
      return logInFirst(reply, asked, session !== undefined);
    }
    return sendQuestion(web, request, reply, session, asked);
  });

  app.post("/cli-login", async (request, reply) => {
    const asked = readAsked((name) => sentField(request, name));
    const session = await web.session(request);
    if (session === undefined || !isRecent(session.principal, web.now())) {
      return logInFirst(reply, asked, session !== undefined);
    }
    web.checkForm(request, session);
    const { principal } = session;
    const { code } = await web.options.access.logins.createTokenCode(principal, asked.challenge, asked.name);
    if (asked.port !== "") {
      return reply.redirect(
        `${loopback(asked.port)}/?${new URLSearchParams({ code, state: asked.state }).toString()}`,
        303,
      );
    }
    return sendCode(request, reply, code);
  });
};

function readAsked(parameter: (name: string) => string): CliLogin {
  const challenge = parameter("challenge");
  const name = parameter("name").trim();
  const port = parameter("port");
  const state = parameter("state");
  const portNumber = Number(port);
  const portIsRight = port === "" || (/^[1-9]\d{0,4}$/.test(port) && portNumber >= 1024 && portNumber <= 65_535);
  if (!/^[\w-]{43}$/.test(challenge) || name.length > MAX_NAME || !portIsRight || !/^[\w.~-]{0,128}$/.test(state)) {
    throw invalidArgument("REQUEST_INVALID", "this link of a command line is not complete", {
      hint: "run `hermit login` again",
    });
  }
  return { challenge, name: name === "" ? "A command line" : name, port, state };
}

// A session of hours must not become a login of now: what needs a recent login asks how old the token's login is.
function isRecent({ credential, subject }: Principal, now: Date): boolean {
  return (
    subject.kind === SubjectKind.LOCAL_OPERATOR ||
    (credential.kind === "session" && now.getTime() - credential.loginTime.getTime() < RECENT_MS)
  );
}

function logInFirst(reply: FastifyReply, asked: CliLogin, again: boolean): FastifyReply {
  const next = `/cli-login?${new URLSearchParams({ ...asked }).toString()}`;
  const parameters = new URLSearchParams({ next, ...(again ? { notice: "again" } : {}) });
  return reply.redirect(`/login?${parameters.toString()}`, 303);
}

const loopback = (port: string): string => `http://127.0.0.1:${port}`;

async function sendQuestion(
  web: WebContext,
  request: FastifyRequest,
  reply: FastifyReply,
  session: WebSession,
  asked: CliLogin,
): Promise<FastifyReply> {
  const identity = await web.options.identity(session.principal);
  const body = html`<p>
      <bdi><strong>${asked.name}</strong></bdi> wants to act as <bdi><strong>${identityName(identity)}</strong></bdi>
      (${roleWord(identity.role)}), with all that this account may do, for 30 days.
    </p>
    <p class="reasons">Go on only if you ran <code>hermit login</code> yourself, just now.</p>
    <form method="post" action="/cli-login">
      ${web.forms.sessionField(session.secret)}${Object.entries(asked).map(([name, value]) => hiddenField(name, value))}
      <div class="actions">
        <button type="submit">Allow</button>
        <a href="/">Cancel</a>
      </div>
    </form>`;
  const leadsTo = asked.port === "" ? undefined : loopback(asked.port);
  const page = { title: "Log in a command line", body: card("Log in a command line", body), leadsTo };
  return sendPage(request, reply, page);
}

function sendCode(request: FastifyRequest, reply: FastifyReply, code: string): FastifyReply {
  const body = html`<p>Paste this code where <code>hermit login</code> waits for it:</p>
    <pre class="code"><code>${code}</code></pre>
    <p class="reasons">
      It works once, for ten minutes. Give it to nobody: whoever asks you for it wants your account.
    </p>
    <p><a href="/">To the front page</a></p>`;
  return sendPage(request, reply, { title: "Your code", body: card("Your code", body) });
}
