import { sentence } from "./error-page.ts";
import { isReason } from "./web-context.ts";

/** What is wrong with what was sent, by the name of the field. */
export type WrongFields = Readonly<Record<string, string>>;

/** Which field of a form an error is about, and what to do; undefined for an error that is about none of these. */
export function wrongFields(error: unknown, names: readonly [string, ...string[]]): WrongFields | undefined {
  if (!isReason(error, "PASSWORD_WEAK", "REQUEST_INVALID", "MEMBER_EXISTS")) {
    return undefined;
  }
  const named = error.reason === "MEMBER_EXISTS" ? "member_id" : error.fields["field"];
  const field = error.reason === "PASSWORD_WEAK" ? "password" : (names.find((name) => name === named) ?? names[0]);
  return {
    [field]: [error.message, error.hint]
      .filter((text) => text !== "")
      .map(sentence)
      .join(" "),
  };
}
