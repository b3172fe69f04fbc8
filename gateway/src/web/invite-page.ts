import type { NewSession } from "@openhermit/access-service";
import type { Member } from "@openhermit/protocol/access/v1/member";
import type { FastifyReply, FastifyRequest } from "fastify";

import { errorPage } from "./error-page.ts";
import { formField, hiddenField } from "./form-field.ts";
import { html } from "./html.ts";
import { card } from "./layout.ts";
import { newMemberFields } from "./new-member-fields.ts";
import { roleWord } from "./role-word.ts";
import { wrongFields, type WrongFields } from "./wrong-fields.ts";
import { isReason, sendPage, type PageRoutes, type WebContext } from "./web-context.ts";
import { attemptOf, sentField, urlParameter } from "./web-request.ts";

interface InviteView {
  code: string;
  displayName?: string;
  /** What is wrong, by field. */
  wrong?: WrongFields;
  status?: number;
}

/** GET /invite shows the form that accepts an invite, POST /invite takes it. */
export const inviteRoutes: PageRoutes = (app, web) => {
  const { logins } = web.options.access;

  app.get("/invite", async (request, reply) => show(request, reply, { code: urlParameter(request, "code") }));

  app.post("/invite", async (request, reply) => {
    web.checkForm(request);
    const code = sentField(request, "code");
    const displayName = sentField(request, "display_name").trim();
    const password = sentField(request, "password");
    let session: NewSession;
    try {
      const attempt = attemptOf(request);
      ({ session } = await web.present(request, () => logins.acceptInvite({ code, displayName, password }, attempt)));
    } catch (error) {
      if (isReason(error, "CODE_INVALID")) {
        return sendUsed(request, reply);
      }
      const wrong = wrongFields(error, ["display_name"]);
      if (wrong !== undefined) {
        return show(request, reply, { code, displayName, wrong, status: 400 });
      }
      throw error;
    }
    return web.enter(reply, session, "/");
  });

  async function show(request: FastifyRequest, reply: FastifyReply, view: InviteView): Promise<FastifyReply> {
    let member: Member;
    try {
      member = await web.present(request, () => logins.readInvite(view.code));
    } catch (error) {
      if (!isReason(error, "CODE_INVALID")) throw error;
      return sendUsed(request, reply);
    }
    return sendInvite(web, request, reply, member, view);
  }
};

function sendUsed(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const view = {
    title: "This invite does not work",
    message: "This invite was used already, is too old, or its link is not complete",
    hint: "Ask whoever invited you for a new one",
  };
  const next = html`<p>If you have set your password already, <a href="/login">log in</a>.</p>`;
  return sendPage(request, reply, errorPage(view, next), 403);
}

function sendInvite(
  web: WebContext,
  request: FastifyRequest,
  reply: FastifyReply,
  member: Member,
  view: InviteView,
): FastifyReply {
  const { code, displayName = member.displayName, wrong = {} } = view;
  const body = html`<p>
      You are invited to this fleet as <strong>${roleWord(member.role)}</strong>. Choose a password, and you are in.
    </p>
    <form method="post" action="/invite">
      ${web.forms.openField(request, reply)}${hiddenField("code", code)}
      ${formField({
        name: "member_id",
        label: "Member id",
        value: member.id,
        autocomplete: "username",
        hint: "You log in with it.",
        maxLength: 63,
        readOnly: true,
      })}
      ${newMemberFields(displayName, wrong, true)}
      <button type="submit">Join</button>
    </form>`;
  return sendPage(request, reply, { title: "Invite", body: card("Join this fleet", body) }, view.status);
}
