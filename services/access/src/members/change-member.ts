import type { FieldMask } from "@bufbuild/protobuf/wkt";
import type { Change, FieldChange, RecordChanges } from "@openhermit/caller";
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { MemberState, type Member } from "@openhermit/protocol/access/v1/member";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { announce } from "../access-channel-store.ts";
import type { NewCode } from "../access-ports.ts";
import { forgetAddresses } from "../login/known-address-store.ts";
import { CodeKind } from "../login/one-time-code.ts";
import { createCode, deleteAllCodesOf, deleteCodesOf, deleteExpiredCodes } from "../login/one-time-code-store.ts";
import { insertOwnership } from "../login/ownership-store.ts";
import { deleteSessionsOf } from "../login/session-store.ts";
import type { Principal, SubjectRef } from "../principal.ts";
import { revokeTokensOf } from "../tokens/revoke-tokens.ts";
import { inviterDetail, rankOf } from "./inviter.ts";
import {
  checkRank,
  displayNameOf,
  isActiveOwner,
  memberNotFound,
  ownerLast,
  roleName,
  stateName,
  type MemberTraits,
  type StoredMember,
} from "./member.ts";
import {
  deleteGrants,
  deleteMember,
  deleteMemberships,
  hasOtherOwner,
  insertMember,
  insertMemberships,
  readMember,
  readMissingTeam,
  updateMember,
} from "./member-store.ts";

/** Who changes members, in a transaction that holds the lock of access. */
export interface MemberAuthor {
  readonly principal: Principal;
  readonly record: RecordChanges;
  readonly now: Date;
}

/** Adds a member, with the code of its invite. Errors: MEMBER_EXISTS, TEAM_NOT_FOUND, RIGHT_MISSING. */
export async function inviteMember(
  tx: Queryable,
  request: { memberId: string; displayName: string; role: Role; teamIds: readonly string[] },
  author: MemberAuthor,
): Promise<NewCode> {
  const { memberId: id, teamIds } = request;
  const displayName = displayNameOf(request.displayName, id);
  const role = request.role === Role.UNSPECIFIED ? Role.VIEWER : request.role;
  checkRank(await rankOf(tx, author.principal), role);
  const missing = await readMissingTeam(tx, teamIds);
  if (missing !== undefined) {
    throw notFound("TEAM_NOT_FOUND", `team "${missing}" does not exist`, { fields: { team_id: missing } });
  }
  if (!(await insertMember(tx, { id, displayName, role, state: MemberState.INVITED }))) {
    throw alreadyExists("MEMBER_EXISTS", `member "${id}" exists already`, {
      hint: "hermit members list shows all.",
      fields: { member_id: id },
    });
  }
  await insertMemberships(tx, id, teamIds);
  const code = await newInvite(tx, id, author);
  const fields = [
    { path: "role", before: "", after: roleName(role) },
    ...(teamIds.length === 0 ? [] : [{ path: "teamIds", before: "", after: teamIds.join(", ") }]),
  ];
  await author.record(tx, [memberChange("members.invite", id, fields)]);
  await announce(tx, [{ kind: "directory" }]);
  return code;
}

/** A new invite; those before end. Errors: MEMBER_NOT_FOUND, MEMBER_EXTERNAL, MEMBER_DISABLED, RIGHT_MISSING. */
export async function renewInvite(tx: Queryable, memberId: string, author: MemberAuthor): Promise<NewCode> {
  const member = await readOther(tx, memberId, author);
  const fields = { member_id: memberId };
  if (member.external) {
    throw failedPrecondition("MEMBER_EXTERNAL", `"${memberId}" logs in with a provider of identities`, {
      hint: "A password is set there.",
      fields,
    });
  }
  if (member.state === MemberState.DISABLED) {
    throw failedPrecondition("MEMBER_DISABLED", `"${memberId}" is disabled`, {
      hint: "Enable the member first.",
      fields,
    });
  }
  const code = await newInvite(tx, memberId, author);
  await author.record(tx, [memberChange("members.renew-invite", memberId)]);
  return code;
}

/**
 * Changes name, role or state; ends the sessions after a new role or state. The ids of the sessions that ended, undefined
 * when nothing changed. Errors: MEMBER_NOT_FOUND, OWNER_LAST, RIGHT_MISSING, UPDATE_MASK_INVALID, MEMBER_STATE_INVALID.
 */
export async function changeMember(
  tx: Queryable,
  request: Member,
  mask: FieldMask | undefined,
  author: MemberAuthor,
): Promise<string[] | undefined> {
  const member = await readOther(tx, request.id, author);
  const wanted = wantedTraits(member, request, mask);
  if (wanted.role !== member.role) checkRank(await rankOf(tx, author.principal), wanted.role);
  return applyTraits(tx, member, wanted, author);
}

/** The same for whoever may: no question of rank. Errors: OWNER_LAST. */
export async function applyTraits(
  tx: Queryable,
  member: StoredMember,
  wanted: MemberTraits,
  author: Pick<MemberAuthor, "record" | "now">,
): Promise<string[] | undefined> {
  const { id } = member;
  const fields = changedFields(member, wanted);
  if (fields.length === 0) return undefined;
  if (isActiveOwner(member) && !isActiveOwner(wanted) && !(await hasOtherOwner(tx, id))) throw ownerLast(id);
  await updateMember(tx, id, wanted);
  if (isActiveOwner(wanted)) await insertOwnership(tx, id, author.now);
  // Whoever gave out the invite may not stand as high as the new role.
  if (wanted.role > member.role) await deleteCodesOf(tx, id, CodeKind.INVITE);
  if (wanted.state === MemberState.DISABLED) await deleteAllCodesOf(tx, id);
  const ended =
    wanted.role === member.role && wanted.state === member.state ? [] : await deleteSessionsOf(tx, subjectOf(id));
  await author.record(tx, [memberChange("members.update", id, fields)]);
  await announce(tx, [{ kind: "directory" }, ...ended.map(sessionNotice)]);
  return ended;
}

/**
 * Removes a member with all that it could come in with, and what it held. The ids of the sessions that ended. Errors:
 * MEMBER_NOT_FOUND, OWNER_LAST, RIGHT_MISSING.
 */
export async function removeMember(tx: Queryable, memberId: string, author: MemberAuthor): Promise<string[]> {
  const member = await readOther(tx, memberId, author);
  if (isActiveOwner(member) && !(await hasOtherOwner(tx, memberId))) throw ownerLast(memberId);
  const ended = await deleteSessionsOf(tx, subjectOf(memberId));
  await revokeTokensOf(tx, subjectOf(memberId));
  await deleteAllCodesOf(tx, memberId);
  await forgetAddresses(tx, memberId);
  await deleteGrants(tx, memberId);
  await deleteMemberships(tx, memberId);
  await deleteMember(tx, memberId);
  await author.record(tx, [
    memberChange("members.remove", memberId, [{ path: "role", before: roleName(member.role), after: "" }]),
  ]);
  await announce(tx, [{ kind: "directory" }, ...ended.map(sessionNotice)]);
  return ended;
}

/** A change of a member, for the audit trail. */
export function memberChange(action: string, memberId: string, fields: readonly FieldChange[] = []): Change {
  return { action, targetType: "member", targetId: memberId, fields };
}

/** A member as a subject. */
export function subjectOf(memberId: string): SubjectRef {
  return { kind: SubjectKind.MEMBER, id: memberId };
}

/** The notice that a session has ended. */
export function sessionNotice(sessionId: string): { kind: "session"; sessionId: string } {
  return { kind: "session", sessionId };
}

/** A member that the caller may touch. */
async function readOther(tx: Queryable, memberId: string, { principal }: MemberAuthor): Promise<StoredMember> {
  const rank = await rankOf(tx, principal);
  const member = await readMember(tx, memberId);
  checkRank(rank, member?.role ?? Role.UNSPECIFIED);
  if (member === undefined) throw memberNotFound(memberId);
  return member;
}

async function newInvite(tx: Queryable, memberId: string, { principal, now }: MemberAuthor): Promise<NewCode> {
  await deleteExpiredCodes(tx, now);
  await deleteCodesOf(tx, memberId, CodeKind.INVITE);
  return createCode(tx, CodeKind.INVITE, { memberId, detail: inviterDetail(principal) }, now);
}

const PATHS = ["display_name", "role", "state"] as const;

function wantedTraits(member: StoredMember, request: Member, mask: FieldMask | undefined): MemberTraits {
  const paths = new Set(mask?.paths ?? []);
  for (const path of paths) {
    if ((PATHS as readonly string[]).includes(path)) continue;
    throw invalidArgument("UPDATE_MASK_INVALID", `update_mask names "${path.slice(0, 80)}", which can't be updated`, {
      hint: `Use ${PATHS.join(", ")}.`,
      fields: { member_id: member.id, path: path.slice(0, 80) },
    });
  }
  if (paths.has("role") && request.role === Role.UNSPECIFIED) {
    throw invalidArgument("REQUEST_INVALID", "member.role: a role is needed", { fields: { field: "member.role" } });
  }
  const asked = (path: (typeof PATHS)[number], isSet: boolean): boolean => (paths.size === 0 ? isSet : paths.has(path));
  return {
    displayName: asked("display_name", request.displayName !== "")
      ? displayNameOf(request.displayName, member.id)
      : member.displayName,
    role: asked("role", request.role !== Role.UNSPECIFIED) ? request.role : member.role,
    state: asked("state", request.state !== MemberState.UNSPECIFIED) ? stateAfter(member, request.state) : member.state,
  };
}

function stateAfter(member: StoredMember, asked: MemberState): MemberState {
  const canLogIn = member.hasPassword || member.external;
  if (asked === MemberState.DISABLED || asked === member.state) return asked;
  // Whoever was disabled before coming is invited again.
  if (asked === MemberState.ACTIVE && member.state === MemberState.DISABLED) {
    return canLogIn ? MemberState.ACTIVE : MemberState.INVITED;
  }
  throw invalidArgument("MEMBER_STATE_INVALID", `"${member.id}" can't be made ${stateName(asked)}`, {
    hint:
      member.state === MemberState.INVITED
        ? "A member becomes active by accepting the invite; hermit members renew-invite makes a new link."
        : "A member can be enabled (active) and disabled.",
    fields: { member_id: member.id },
  });
}

function changedFields(before: MemberTraits, after: MemberTraits): FieldChange[] {
  const all = [
    { path: "displayName", before: before.displayName, after: after.displayName },
    { path: "role", before: roleName(before.role), after: roleName(after.role) },
    { path: "state", before: stateName(before.state), after: stateName(after.state) },
  ];
  return all.filter((field) => field.before !== field.after);
}
