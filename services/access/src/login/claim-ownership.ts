import { alreadyExists, failedPrecondition, type MeshError } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { announce } from "../access-channel-store.ts";
import type { Attempt, NewCode } from "../access-ports.ts";
import { memberChange, subjectOf } from "../members/change-member.ts";
import { displayNameOf, isMemberId, memberIdInvalid } from "../members/member.ts";
import { insertMember } from "../members/member-store.ts";
import type { Actor } from "../principal.ts";
import { actorOf, type Begin } from "./begin-session.ts";
import type { LoginParts } from "./login-parts.ts";
import { codeInvalid, CodeKind } from "./one-time-code.ts";
import { consumeCode, createCode, deleteCodes, deleteExpiredCodes, readCode } from "./one-time-code-store.ts";
import { insertOwnership, readHasOwner } from "./ownership-store.ts";
import { checkPassword } from "./password.ts";

/** What somebody sends who wants to be the first owner. */
export interface OwnershipClaim {
  readonly code: string;
  readonly memberId: string;
  readonly displayName: string;
  readonly password: string;
}

/** Makes a setup code. Errors: OWNER_EXISTS. */
export async function createSetupCode(parts: LoginParts, actor: Actor): Promise<NewCode> {
  return parts.database.transaction(async (tx) => {
    if (await readHasOwner(tx)) throw ownerExists();
    const now = parts.now();
    await deleteExpiredCodes(tx, now);
    const code = await createCode(tx, CodeKind.SETUP, { memberId: "", detail: {} }, now);
    await parts.audit.recordChanges(actor)(tx, [{ action: "setup-code.create", targetType: "", targetId: "" }]);
    return code;
  });
}

/**
 * Makes the first owner: of many at once one succeeds. Errors: OWNER_EXISTS, CODE_INVALID, PASSWORD_WEAK,
 * REQUEST_INVALID, MEMBER_EXISTS, LOGIN_BUSY.
 */
export async function claimOwnership<T>(
  parts: LoginParts,
  claim: OwnershipClaim,
  attempt: Attempt,
  begin: Begin<T>,
): Promise<T> {
  const { memberId: id, code } = claim;
  if (!isMemberId(id)) throw memberIdInvalid();
  const displayName = displayNameOf(claim.displayName, id);
  // Looked at before a hash is made of the password, so that whoever has no code can't keep the gateway busy.
  await checkClaim(parts.database, (await readCode(parts.database, CodeKind.SETUP, code, parts.now())) !== undefined);
  checkPassword(claim.password, id);
  const passwordHash = await parts.hasher.hash(claim.password);

  const begun = await parts.write(async (tx) => {
    const now = parts.now();
    await checkClaim(tx, (await consumeCode(tx, CodeKind.SETUP, code, now)) !== undefined);
    if (!(await insertOwnership(tx, id, now))) throw ownerExists();
    const owner = { id, displayName, role: Role.OWNER, state: MemberState.ACTIVE, passwordHash };
    if (!(await insertMember(tx, owner))) {
      throw alreadyExists("MEMBER_EXISTS", `member "${id}" exists already`, {
        hint: "Choose another name to log in with.",
        fields: { member_id: id },
      });
    }
    // Other codes would claim nothing any more.
    await deleteCodes(tx, CodeKind.SETUP);
    await parts.audit.recordChanges(actorOf(subjectOf(id), attempt))(tx, [memberChange("ownership.claim", id)]);
    await announce(tx, [{ kind: "directory" }]);
    return begin(tx, subjectOf(id));
  });
  await parts.changed([]);
  return begun;
}

/** That there is an owner is said first: whoever comes late with the right code learns why it does not work. */
async function checkClaim(db: Queryable, codeWorks: boolean): Promise<void> {
  if (await readHasOwner(db)) throw ownerExists();
  if (!codeWorks) throw codeInvalid();
}

function ownerExists(): MeshError {
  return failedPrecondition("OWNER_EXISTS", "the fleet has an owner already", {
    hint: "Log in, or ask an owner for an invite.",
  });
}
