import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role } from "@openhermit/protocol/access/v1/subject";
import type { Queryable } from "@openhermit/postgres";
import { announce } from "../access-channel-store.ts";
import type { Attempt, ExternalIdentity, NewSession } from "../access-ports.ts";
import { applyTraits, memberChange, subjectOf } from "../members/change-member.ts";
import { displayNameOf, isActiveOwner, isMemberId, roleName, type StoredMember } from "../members/member.ts";
import { hasOtherOwner, insertMember, readExternalMember, readIdsLike } from "../members/member-store.ts";
import { actorOf, beginSession } from "./begin-session.ts";
import type { LoginParts } from "./login-parts.ts";
import { insertOwnership } from "./ownership-store.ts";
import { loginFailed } from "./password-login.ts";

/** An identity whose role is known. */
type AdmittedIdentity = ExternalIdentity & { readonly role: Role };

/** The most characters of a subject (OpenID Connect Core 1.0, section 2). */
const MAX_SUBJECT = 255;
const MAX_NAME = 120;
/** Leaves room for a number within the 63 characters of an id. */
const MAX_BASE = 56;
/** Letters that are left of an accented one. */
const ACCENTS = /\p{Mark}/gu;

/**
 * Logs in whom a provider of identities vouches for. Only issuer and subject say who that is: no name makes anybody the
 * member of that name. The role is the one of its groups, at each login; the last owner stays one. Errors: LOGIN_FAILED.
 */
export async function logInExternally(
  parts: LoginParts,
  identity: ExternalIdentity,
  attempt: Attempt,
): Promise<NewSession> {
  if (!isAdmitted(identity)) throw loginFailed();
  const { session, ended } = await parts.write(async (tx) => {
    const { id, endedSessions } = await enter(parts, tx, identity, attempt);
    const made = await beginSession(parts, attempt, "identity provider")(tx, subjectOf(id));
    return { session: made, ended: endedSessions };
  });
  await parts.changed(ended);
  return session;
}

/** The member of an identity as it is to log in: made at the first time, with its role brought up to date. */
async function enter(
  parts: LoginParts,
  tx: Queryable,
  identity: AdmittedIdentity,
  attempt: Attempt,
): Promise<{ id: string; endedSessions: readonly string[] }> {
  const member = await readExternalMember(tx, identity.issuer, identity.subject);
  if (member === undefined) return { id: await addMember(parts, tx, identity, attempt), endedSessions: [] };
  if (member.state !== MemberState.ACTIVE) throw loginFailed();
  const role = await roleAfter(parts, tx, member, identity.role);
  const record = parts.audit.recordChanges(actorOf(subjectOf(member.id), attempt));
  const ended = await applyTraits(tx, member, { ...member, role }, { record, now: parts.now() });
  return { id: member.id, endedSessions: ended ?? [] };
}

async function roleAfter(parts: LoginParts, tx: Queryable, member: StoredMember, role: Role): Promise<Role> {
  if (!isActiveOwner(member) || role === Role.OWNER || (await hasOtherOwner(tx, member.id))) return role;
  parts.log.warn({ member_id: member.id, role: roleName(role) }, "last owner stays, against its groups");
  return Role.OWNER;
}

async function addMember(
  parts: LoginParts,
  tx: Queryable,
  identity: AdmittedIdentity,
  attempt: Attempt,
): Promise<string> {
  const { issuer, subject, role } = identity;
  const id = await freeId(tx, identity.preferredName);
  const displayName = displayNameOf(Array.from(identity.displayName.trim()).slice(0, MAX_NAME).join(""), id);
  const isNew = await insertMember(tx, {
    id,
    displayName,
    role,
    state: MemberState.ACTIVE,
    external: { issuer, subject },
  });
  if (!isNew) throw new Error(`member ${id} was made outside the lock of access`);
  if (role === Role.OWNER) await insertOwnership(tx, id, parts.now());
  const change = memberChange("members.create", id, [{ path: "role", before: "", after: roleName(role) }]);
  await parts.audit.recordChanges(actorOf(subjectOf(id), attempt))(tx, [change]);
  await announce(tx, [{ kind: "directory" }]);
  return id;
}

/** An id that nobody has: the name as a slug, with a number where it is in use. */
async function freeId(tx: Queryable, preferredName: string): Promise<string> {
  const base = memberIdFrom(preferredName);
  const used = await readIdsLike(tx, base);
  let id = base;
  for (let number = 2; used.has(id); number += 1) id = `${base}-${number}`;
  return id;
}

/** A name, or an address of mail, as the id of a member: `Zoë.Smith@example.com` is `zoe-smith`. */
export function memberIdFrom(preferredName: string): string {
  const [name = ""] = preferredName.normalize("NFKD").replace(ACCENTS, "").toLowerCase().split("@");
  const slug = trimDashes(name.replace(/[^a-z0-9]+/g, "-"));
  const base = trimDashes((/^[a-z]/.test(slug) ? slug : `member-${slug}`).slice(0, MAX_BASE));
  return isMemberId(base) ? base : "member";
}

function trimDashes(text: string): string {
  return text.replace(/^-+|-+$/g, "");
}

function isAdmitted(identity: ExternalIdentity): identity is AdmittedIdentity {
  const { issuer, subject, role } = identity;
  const isIdentity = issuer !== "" && subject !== "" && subject.length <= MAX_SUBJECT;
  return isIdentity && role !== undefined && role !== Role.UNSPECIFIED;
}
