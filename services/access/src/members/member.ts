import { failedPrecondition, invalidArgument, notFound, permissionDenied, type MeshError } from "@openhermit/errors";
import { isAgentId } from "@openhermit/ids";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";

/** A member as stored, with what belongs to it. */
export interface StoredMember {
  readonly id: string;
  readonly displayName: string;
  readonly role: Role;
  readonly state: MemberState;
  /** Ordered. */
  readonly teamIds: readonly string[];
  readonly external: boolean;
  readonly hasPassword: boolean;
  readonly inviteExpireTime: Date | null;
  readonly lastLoginTime: Date | null;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** What of a member can be changed. */
export interface MemberTraits {
  readonly displayName: string;
  readonly role: Role;
  readonly state: MemberState;
}

const MAX_DISPLAY_NAME = 120;

/** Whether the text may be the id of a member: a slug, as that of an agent. */
export function isMemberId(text: string): boolean {
  return isAgentId(text);
}

/** The name shown to people; without one the other, mostly the id. Errors: REQUEST_INVALID. */
export function displayNameOf(text: string, otherwise: string): string {
  const name = text.trim();
  if (Array.from(name).length > MAX_DISPLAY_NAME) {
    throw invalidArgument("REQUEST_INVALID", `the name is longer than ${MAX_DISPLAY_NAME} characters`, {
      fields: { field: "display_name" },
    });
  }
  return name === "" ? otherwise : name;
}

/** The refusal of an id that is none. */
export function memberIdInvalid(): MeshError {
  return invalidArgument(
    "REQUEST_INVALID",
    "the name to log in with must be lower-case letters, digits and dashes, and start with a letter",
    { hint: "At most 63 characters, for example alice.", fields: { field: "member_id" } },
  );
}

/** The error of a member that does not exist. */
export function memberNotFound(memberId: string): MeshError {
  return notFound("MEMBER_NOT_FOUND", `member "${memberId}" does not exist`, {
    hint: "hermit members list shows all.",
    fields: { member_id: memberId },
  });
}

const STATE_NAMES: Readonly<Record<number, string>> = {
  [MemberState.UNSPECIFIED]: "",
  [MemberState.INVITED]: "invited",
  [MemberState.ACTIVE]: "active",
  [MemberState.DISABLED]: "disabled",
};

const ROLE_NAMES: Readonly<Record<number, string>> = {
  [Role.UNSPECIFIED]: "",
  [Role.VIEWER]: "viewer",
  [Role.OPERATOR]: "operator",
  [Role.ADMIN]: "admin",
  [Role.OWNER]: "owner",
};

/** How a role is written. */
export function roleName(role: Role): string {
  return ROLE_NAMES[role] ?? "";
}

/** How a state is written. */
export function stateName(state: MemberState): string {
  return STATE_NAMES[state] ?? "";
}

/** Refuses whoever may not manage members, or not those of this role: owners are for owners. Errors: RIGHT_MISSING. */
export function checkRank(own: Role, concerned: Role): void {
  if (own < Role.ADMIN) throw rankMissing("only admins and owners may change members");
  if (concerned > own) throw rankMissing("only an owner may make, change or remove an owner");
}

function rankMissing(message: string): MeshError {
  return permissionDenied("RIGHT_MISSING", message, { hint: "Ask an owner of the fleet." });
}

/** The refusal to let the last owner go. */
export function ownerLast(memberId: string): MeshError {
  return failedPrecondition("OWNER_LAST", `"${memberId}" is the last owner`, {
    hint: "Make another member owner first.",
    fields: { member_id: memberId },
  });
}

/** Whether the member counts as an owner: it can log in. */
export function isActiveOwner({ role, state }: MemberTraits): boolean {
  return role === Role.OWNER && state === MemberState.ACTIVE;
}
