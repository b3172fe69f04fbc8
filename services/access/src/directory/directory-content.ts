import { createHash } from "node:crypto";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";
import type { DirectoryMember, DirectoryRows, DirectoryServiceAccount } from "./directory-store.ts";

/** Who holds rights. */
export interface DirectoryContent {
  member(id: string): DirectoryMember | undefined;
  serviceAccount(id: string): DirectoryServiceAccount | undefined;
  isTeam(id: string): boolean;
  /** The teams of a member or a service account. */
  teamsOf(subject: SubjectRef): ReadonlySet<string>;
  /** UNSPECIFIED for who is unknown, disabled or has not come yet; OWNER for the local operator. */
  roleOf(subject: SubjectRef): Role;
  /** The highest role that a grant of the subject, or of one of its teams, gives on an agent; UNSPECIFIED for none. */
  grantRole(subject: SubjectRef, agentId: string): Role;
  /** The highest role that any grant of the subject, or of one of its teams, gives on any agent; UNSPECIFIED for none. */
  highestGrant(subject: SubjectRef): Role;
  /** Takes out all grants on these agents, also those of teams. */
  dropGrantsOn(agentIds: Iterable<string>): void;
}

/** The grants of one subject. */
interface Grants {
  /** By agent. */
  readonly roles: Map<string, Role>;
  highest: Role;
}

interface Entry {
  readonly role: Role;
  readonly teams: Set<string>;
  readonly grants: Grants;
}

const NO_TEAMS: ReadonlySet<string> = new Set();

/** An empty directory's rows. */
export const NO_ROWS: DirectoryRows = { members: [], serviceAccounts: [], teamIds: [], memberships: [], grants: [] };

/** A digest of the rows, to see whether anything is another. */
export function digestOf(rows: DirectoryRows): string {
  return createHash("sha256").update(JSON.stringify(rows)).digest("base64");
}

/** Puts the rows into order for quick looks. */
export function createDirectoryContent(rows: DirectoryRows): DirectoryContent {
  const members = new Map(rows.members.map((member) => [member.id, member]));
  const serviceAccounts = new Map(rows.serviceAccounts.map((account) => [account.id, account]));
  const memberEntries = new Map(
    rows.members.map(({ id, role, state }) => [id, newEntry(state === MemberState.ACTIVE ? role : Role.UNSPECIFIED)]),
  );
  const accountEntries = new Map(
    rows.serviceAccounts.map(({ id, role, disabled }) => [id, newEntry(disabled ? Role.UNSPECIFIED : role)]),
  );
  const teamGrants = new Map(rows.teamIds.map((id) => [id, newGrants()]));

  const entryOf = ({ kind, id }: SubjectRef): Entry | undefined => {
    if (kind === SubjectKind.MEMBER) return memberEntries.get(id);
    if (kind === SubjectKind.SERVICE_ACCOUNT) return accountEntries.get(id);
    return undefined;
  };
  for (const { teamId, kind, subjectId } of rows.memberships) entryOf({ kind, id: subjectId })?.teams.add(teamId);
  for (const { agentId, kind, subjectId, role } of rows.grants) {
    const held = kind === SubjectKind.TEAM ? teamGrants.get(subjectId) : entryOf({ kind, id: subjectId })?.grants;
    if (held === undefined) continue;
    held.roles.set(agentId, role);
    held.highest = higher(held.highest, role);
  }

  /** The highest of what the subject's own grants and those of its teams give. */
  const highestOf = (subject: SubjectRef, look: (grants: Grants) => Role | undefined): Role => {
    const entry = entryOf(subject);
    if (entry === undefined) return Role.UNSPECIFIED;
    let role = look(entry.grants) ?? Role.UNSPECIFIED;
    for (const teamId of entry.teams) {
      const grants = teamGrants.get(teamId);
      if (grants !== undefined) role = higher(role, look(grants) ?? role);
    }
    return role;
  };

  return {
    member: (id) => members.get(id),
    serviceAccount: (id) => serviceAccounts.get(id),
    isTeam: (id) => teamGrants.has(id),
    teamsOf: (subject) => entryOf(subject)?.teams ?? NO_TEAMS,
    roleOf: (subject) =>
      subject.kind === SubjectKind.LOCAL_OPERATOR ? Role.OWNER : (entryOf(subject)?.role ?? Role.UNSPECIFIED),
    grantRole: (subject, agentId) => highestOf(subject, ({ roles }) => roles.get(agentId)),
    highestGrant: (subject) => highestOf(subject, ({ highest }) => highest),
    dropGrantsOn(agentIds) {
      const gone = [...agentIds];
      const held = [...memberEntries.values(), ...accountEntries.values()].map(({ grants }) => grants);
      for (const grants of [...held, ...teamGrants.values()]) {
        for (const agentId of gone) grants.roles.delete(agentId);
        grants.highest = [...grants.roles.values()].reduce(higher, Role.UNSPECIFIED);
      }
    },
  };
}

function newEntry(role: Role): Entry {
  return { role, teams: new Set(), grants: newGrants() };
}

function newGrants(): Grants {
  return { roles: new Map(), highest: Role.UNSPECIFIED };
}

function higher(a: Role, b: Role): Role {
  return a > b ? a : b;
}
