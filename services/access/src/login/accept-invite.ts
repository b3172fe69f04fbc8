import { MemberState } from "@openhermit/protocol/access/v1/member";
import type { Queryable } from "@openhermit/postgres";
import { announce } from "../access-channel-store.ts";
import type { Attempt } from "../access-ports.ts";
import { memberChange, sessionNotice, subjectOf } from "../members/change-member.ts";
import { isStillInvited } from "../members/inviter.ts";
import { displayNameOf, isActiveOwner, type StoredMember } from "../members/member.ts";
import { readMember, updateMember, writePassword } from "../members/member-store.ts";
import { revokeTokensOf } from "../tokens/revoke-tokens.ts";
import { actorOf, type Begin } from "./begin-session.ts";
import type { LoginParts } from "./login-parts.ts";
import { codeInvalid, CodeKind } from "./one-time-code.ts";
import { consumeCode, readCode, type CodeContent } from "./one-time-code-store.ts";
import { insertOwnership } from "./ownership-store.ts";
import { checkPassword } from "./password.ts";
import { deleteSessionsOf } from "./session-store.ts";

/** What somebody sends who was invited. */
export interface InviteAcceptance {
  readonly code: string;
  /** Empty keeps the one of the invite. */
  readonly displayName: string;
  readonly password: string;
}

/** Whom an invite is for, as long as who made it may still give that role. Errors: CODE_INVALID. */
export async function readInvite(parts: LoginParts, code: string): Promise<StoredMember> {
  return invited(parts.database, await readCode(parts.database, CodeKind.INVITE, code, parts.now()));
}

/**
 * Gives a member the password it logs in with; what it was logged in with before ends. Errors: CODE_INVALID,
 * PASSWORD_WEAK, REQUEST_INVALID, LOGIN_BUSY.
 */
export async function acceptInvite<T>(
  parts: LoginParts,
  { code, displayName, password }: InviteAcceptance,
  attempt: Attempt,
  begin: Begin<T>,
): Promise<T> {
  const { id } = await readInvite(parts, code);
  displayNameOf(displayName, id);
  checkPassword(password, id);
  const passwordHash = await parts.hasher.hash(password);

  const { begun, ended } = await parts.write(async (tx) => {
    const now = parts.now();
    const member = await invited(tx, await consumeCode(tx, CodeKind.INVITE, code, now));
    const accepted = {
      displayName: displayNameOf(displayName, member.displayName),
      role: member.role,
      state: MemberState.ACTIVE,
    };
    await updateMember(tx, id, accepted);
    await writePassword(tx, id, passwordHash);
    if (isActiveOwner(accepted)) await insertOwnership(tx, id, now);
    const endedSessions = await deleteSessionsOf(tx, subjectOf(id));
    await revokeTokensOf(tx, subjectOf(id), { loginOnly: true });
    await parts.audit.recordChanges(actorOf(subjectOf(id), attempt))(tx, [memberChange("invite.accept", id)]);
    await announce(tx, [{ kind: "directory" }, ...endedSessions.map(sessionNotice)]);
    return { begun: await begin(tx, subjectOf(id)), ended: endedSessions };
  });
  await parts.changed(ended);
  return begun;
}

async function invited(db: Queryable, content: CodeContent | undefined): Promise<StoredMember> {
  const member = content === undefined ? undefined : await readMember(db, content.memberId);
  if (content === undefined || member === undefined) throw codeInvalid();
  if (member.external || member.state === MemberState.DISABLED) throw codeInvalid();
  if (!(await isStillInvited(db, content.detail, member.role))) throw codeInvalid();
  return member;
}
