import { unauthenticated, type MeshError } from "@openhermit/errors";
import type { Attempt, NewSession } from "../access-ports.ts";
import { subjectOf } from "../members/change-member.ts";
import { isMemberId } from "../members/member.ts";
import { readPasswordHash } from "../members/member-store.ts";
import { beginSession } from "./begin-session.ts";
import type { LoginParts } from "./login-parts.ts";
import { checkGuess } from "./password-guess.ts";

/** The refusal of a login, whatever was wrong: nobody learns from it whether a member exists. */
export function loginFailed(): MeshError {
  return unauthenticated("LOGIN_FAILED", "the name or the password is wrong", {
    hint: "Who has lost the password asks an admin for a new invite.",
  });
}

/** Logs in with a password. Errors: LOGIN_FAILED, LOGIN_LIMITED, LOGIN_BUSY. */
export async function logInWithPassword(
  parts: LoginParts,
  { memberId, password }: { memberId: string; password: string },
  attempt: Attempt,
): Promise<NewSession> {
  const id = isMemberId(memberId) ? memberId : "";
  const hash = await checkGuess(parts, { memberId: id, password, address: attempt.address, loggedIn: false });
  if (hash === undefined) throw loginFailed();
  return parts.write(async (tx) => {
    // Disabled, removed, or given another password while this one was checked.
    if ((await readPasswordHash(tx, id)) !== hash) throw loginFailed();
    return beginSession(parts, attempt, "password")(tx, subjectOf(id));
  });
}
