import type { NewSession } from "@openhermit/access-service";
import type { FastifyReply, FastifyRequest } from "fastify";

import { errorPage } from "./error-page.ts";
import { formAlert, formField, hiddenField } from "./form-field.ts";
import { html } from "./html.ts";
import { card } from "./layout.ts";
import { newMemberFields } from "./new-member-fields.ts";
import { wrongFields, type WrongFields } from "./wrong-fields.ts";
import { isReason, sendPage, type PageRoutes, type WebContext } from "./web-context.ts";
import { attemptOf, sentField, urlParameter } from "./web-request.ts";

/** The path of a setup link. */
export const setupPath = (code: string): string => `/setup?code=${code}`;

interface SetupView {
  code: string;
  memberId?: string;
  displayName?: string;
  alert?: string;
  /** What is wrong, by field. */
  wrong?: WrongFields;
  status?: number;
}

/** GET /setup shows the form that claims ownership, POST /setup takes it. */
export const setupRoutes: PageRoutes = (app, web) => {
  const { logins } = web.options.access;

  app.get("/setup", async (request, reply) =>
    (await web.hasOwner())
      ? sendOwned(request, reply)
      : sendSetup(web, request, reply, { code: urlParameter(request, "code") }),
  );

  app.post("/setup", async (request, reply) => {
    web.checkForm(request);
    const sent = {
      code: sentField(request, "code").trim(),
      memberId: sentField(request, "member_id").trim(),
      displayName: sentField(request, "display_name").trim(),
    };
    const password = sentField(request, "password");
    let session: NewSession;
    try {
      const attempt = attemptOf(request);
      ({ session } = await web.present(request, () => logins.claimOwnership({ ...sent, password }, attempt)));
    } catch (error) {
      if (isReason(error, "OWNER_EXISTS")) {
        return sendOwned(request, reply);
      }
      if (isReason(error, "CODE_INVALID")) {
        const alert =
          "This setup code is not right, was used already, or is too old. Get another with `bin/hermit setup`.";
        return sendSetup(web, request, reply, { ...sent, code: "", alert, status: 403 });
      }
      const wrong = wrongFields(error, ["member_id", "display_name"]);
      if (wrong !== undefined) {
        return sendSetup(web, request, reply, { ...sent, wrong, status: 400 });
      }
      throw error;
    }
    return web.enter(reply, session, "/");
  });
};

function sendOwned(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const view = { title: "Set up already", message: "This fleet has an owner already" };
  const next = html`<p>Ask the owner or an admin for an invite.</p>
    <p><a class="button" href="/login">Log in</a></p>`;
  return sendPage(request, reply, errorPage(view, next), 409);
}

function sendSetup(web: WebContext, request: FastifyRequest, reply: FastifyReply, view: SetupView): FastifyReply {
  const { code, memberId = "", displayName = "", wrong = {} } = view;
  const body = html`${formAlert(view.alert)}
    <p>You become the owner: the account that may do everything here, and that invites the others.</p>
    <form method="post" action="/setup">
      ${web.forms.openField(request, reply)}
      ${
        code !== "" && wrong["code"] === undefined
          ? hiddenField("code", code)
          : formField({
              name: "code",
              label: "Setup code",
              value: code,
              autocomplete: "off",
              hint: "It is part of the link that `bin/hermit setup` prints, and works for 30 minutes.",
              maxLength: 128,
              error: wrong["code"],
              focus: true,
            })
      }
      ${formField({
        name: "member_id",
        label: "Member id",
        value: memberId,
        autocomplete: "username",
        hint: "You log in with it. Small letters, digits and dashes; it never changes.",
        maxLength: 63,
        error: wrong["member_id"],
        focus: code !== "" && wrong["password"] === undefined,
      })}
      ${newMemberFields(displayName, wrong, code !== "" && wrong["password"] !== undefined)}
      <button type="submit">Become the owner</button>
    </form>`;
  return sendPage(request, reply, { title: "Set up", body: card("Set up this fleet", body) }, view.status);
}
