import { failedPrecondition, permissionDenied } from "@openhermit/errors";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { announce } from "../access-channel-store.ts";
import { memberChange, sessionNotice } from "../members/change-member.ts";
import { readPasswordHash, writePassword } from "../members/member-store.ts";
import type { Actor, Principal } from "../principal.ts";
import { revokeTokensOf } from "../tokens/revoke-tokens.ts";
import type { LoginParts } from "./login-parts.ts";
import { checkPassword } from "./password.ts";
import { checkGuess } from "./password-guess.ts";
import { deleteSessionsOf } from "./session-store.ts";

/**
 * Gives the caller another password and ends all it is logged in with, except what it calls with. Errors: PASSWORD_NONE,
 * RIGHT_MISSING for a token with scopes, PASSWORD_WRONG, PASSWORD_WEAK, LOGIN_LIMITED, LOGIN_BUSY.
 */
export async function changePassword(
  parts: LoginParts,
  { subject, credential }: Principal,
  passwords: { current: string; next: string },
  actor: Actor,
): Promise<void> {
  const memberId = subject.kind === SubjectKind.MEMBER ? subject.id : "";
  if ((await readPasswordHash(parts.database, memberId)) === undefined) {
    throw failedPrecondition("PASSWORD_NONE", "you do not log in with a password", {
      hint: "Who logs in with a provider of identities changes it there.",
    });
  }
  if (credential.kind === "token" && !credential.login) {
    throw permissionDenied("RIGHT_MISSING", "a token with scopes does not change the password of a person", {
      hint: "Log in with `hermit login` first.",
    });
  }
  checkPassword(passwords.next, memberId);
  const guess = { memberId, password: passwords.current, address: actor.address, loggedIn: true };
  const hash = await checkGuess(parts, guess);
  if (hash === undefined) throw passwordWrong();
  const nextHash = await parts.hasher.hash(passwords.next);

  const { ended, revoked } = await parts.write(async (tx) => {
    if ((await readPasswordHash(tx, memberId)) !== hash) throw passwordWrong();
    await writePassword(tx, memberId, nextHash);
    const sessionId = credential.kind === "session" ? credential.sessionId : "";
    const others = await deleteSessionsOf(tx, subject, sessionId);
    const except = credential.kind === "token" ? credential.accessor : "";
    const accessors = await revokeTokensOf(tx, subject, { loginOnly: true, except });
    await parts.audit.recordChanges(actor)(tx, [memberChange("password.change", memberId)]);
    await announce(tx, others.map(sessionNotice));
    return { ended: others, revoked: accessors };
  });
  parts.onRevoked(revoked);
  await parts.changed(ended);
}

function passwordWrong(): Error {
  return permissionDenied("PASSWORD_WRONG", "the current password is wrong");
}
