import { formField } from "./form-field.ts";
import { html, type Html } from "./html.ts";
import type { WrongFields } from "./wrong-fields.ts";

/** The fields of somebody who becomes a member: a name and a new password. `focus`: begin with the password. */
export function newMemberFields(displayName: string, wrong: WrongFields, focus: boolean): Html {
  return html`${formField({
    name: "display_name",
    label: "Name",
    value: displayName,
    autocomplete: "name",
    maxLength: 120,
    optional: true,
    error: wrong["display_name"],
  })}
  ${formField({
    name: "password",
    label: "Password",
    type: "password",
    autocomplete: "new-password",
    hint: "At least 12 characters. A sentence is fine.",
    minLength: 12,
    maxLength: 256,
    error: wrong["password"],
    focus,
  })}`;
}
