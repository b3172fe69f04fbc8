import { createHash } from "node:crypto";
import type { Database } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import type { SubjectRef } from "../principal.ts";
import {
  readAllGrants,
  readAllMembers,
  readAllMemberships,
  readAllServiceAccounts,
  readAllTeamIds,
  beginSnapshot,
  type DirectoryMember,
  type DirectoryServiceAccount,
  type GrantRow,
  type MembershipRow,
} from "./directory-store.ts";

/** Everybody who holds rights, in memory, so that a call asks no database what its caller may do. */
export interface Directory {
  member(id: string): DirectoryMember | undefined;
  serviceAccount(id: string): DirectoryServiceAccount | undefined;
  isTeam(id: string): boolean;
  /** The teams of a member or a service account. */
  teamsOf(subject: SubjectRef): ReadonlySet<string>;
  /** UNSPECIFIED for who is unknown, disabled or has not come yet; OWNER for the local operator. */
  roleOf(subject: SubjectRef): Role;
  /** The highest role that a grant of the subject, or of one of its teams, gives on an agent; UNSPECIFIED for none. */
  grantRole(subject: SubjectRef, agentId: string): Role;
  /** Adds the agents to `into` on which the subject, or one of its teams, holds a grant of this role or a higher one. */
  addGrantedAgents(subject: SubjectRef, role: Role, into: Set<string>): void;
  /** Whether it was ever read, and what it says is not known to be old for more than 5 s. */
  isReliable(): boolean;
  /** A number that changes with each reading. */
  readonly revision: number;
  /** Reads again soon. */
  poke(): void;
  /** Resolves when a reading that began after this call has ended. */
  refresh(): Promise<void>;
  /** Calls back after each reading that found something else than the one before. Returns how to stop that. */
  onChanged(callback: () => void): () => void;
  close(): Promise<void>;
}

/** A safety net: changes are announced. */
const PERIOD_MS = 30_000;
/** How long rights that may have changed still count. */
const TRUST_MS = 5_000;

interface Entry {
  readonly role: Role;
  readonly teams: Set<string>;
  readonly grants: Map<string, Role>;
}

interface Content {
  readonly members: ReadonlyMap<string, DirectoryMember>;
  readonly serviceAccounts: ReadonlyMap<string, DirectoryServiceAccount>;
  readonly teamIds: ReadonlySet<string>;
  readonly memberEntries: ReadonlyMap<string, Entry>;
  readonly accountEntries: ReadonlyMap<string, Entry>;
  readonly teamGrants: ReadonlyMap<string, ReadonlyMap<string, Role>>;
  /** Of what was read, to see whether anything is another. */
  readonly digest: string;
}

const NO_TEAMS: ReadonlySet<string> = new Set();

/** Reads the directory now, when poked, and every 30 s. */
export function createDirectory(options: { database: Database; log: Log; now?: () => number }): Directory {
  const { database, log, now = () => performance.now() } = options;
  const listeners = new Set<() => void>();
  let content = contentOf([], [], [], [], []);
  let revision = 0;
  let staleSince: number | undefined;
  let task: PeriodicTask | undefined = undefined;

  /** Grows with whatever makes the content doubtful. */
  let doubts = 0;
  const becomeStale = (): void => {
    doubts += 1;
    staleSince ??= now();
  };
  const endStatus = database.onStatus(({ ready }) => {
    // Notices are lost from here on; the subscription that follows pokes.
    if (!ready) becomeStale();
  });

  async function run(): Promise<void> {
    const doubtsBefore = doubts;
    const next = await readContent(database);
    const changed = revision === 0 || next.digest !== content.digest;
    content = next;
    revision += 1;
    // What became stale while this reading ran is read again.
    if (doubts === doubtsBefore && database.status().ready) staleSince = undefined;
    if (!changed) return;
    for (const listener of listeners) listener();
  }

  const reader = (): PeriodicTask =>
    (task ??= createPeriodicTask({
      name: "read-directory",
      periodMs: PERIOD_MS,
      run,
      onError(error) {
        becomeStale();
        log.debug({ err: error }, "directory not read");
      },
    }));

  const entryOf = ({ kind, id }: SubjectRef): Entry | undefined => {
    if (kind === SubjectKind.MEMBER) return content.memberEntries.get(id);
    if (kind === SubjectKind.SERVICE_ACCOUNT) return content.accountEntries.get(id);
    return undefined;
  };

  return {
    member: (id) => content.members.get(id),
    serviceAccount: (id) => content.serviceAccounts.get(id),
    isTeam: (id) => content.teamIds.has(id),
    teamsOf: (subject) => entryOf(subject)?.teams ?? NO_TEAMS,
    roleOf: (subject) =>
      subject.kind === SubjectKind.LOCAL_OPERATOR ? Role.OWNER : (entryOf(subject)?.role ?? Role.UNSPECIFIED),
    grantRole(subject, agentId) {
      const entry = entryOf(subject);
      if (entry === undefined) return Role.UNSPECIFIED;
      let role = entry.grants.get(agentId) ?? Role.UNSPECIFIED;
      for (const teamId of entry.teams) {
        const granted = content.teamGrants.get(teamId)?.get(agentId);
        if (granted !== undefined && granted > role) role = granted;
      }
      return role;
    },
    addGrantedAgents(subject, role, into) {
      const entry = entryOf(subject);
      if (entry === undefined) return;
      const add = (grants: ReadonlyMap<string, Role> | undefined): void => {
        for (const [agentId, granted] of grants ?? []) if (granted >= role) into.add(agentId);
      };
      add(entry.grants);
      for (const teamId of entry.teams) add(content.teamGrants.get(teamId));
    },
    isReliable: () => revision > 0 && (staleSince === undefined || now() - staleSince < TRUST_MS),
    get revision() {
      return revision;
    },
    poke() {
      becomeStale();
      reader().poke();
    },
    refresh: () => reader().runNow(),
    onChanged(callback) {
      listeners.add(callback);
      return () => void listeners.delete(callback);
    },
    async close() {
      endStatus();
      listeners.clear();
      await task?.stop();
    },
  };
}

async function readContent(database: Database): Promise<Content> {
  return database.transaction(async (tx) => {
    await beginSnapshot(tx);
    return contentOf(
      await readAllMembers(tx),
      await readAllServiceAccounts(tx),
      await readAllTeamIds(tx),
      await readAllMemberships(tx),
      await readAllGrants(tx),
    );
  });
}

function contentOf(
  members: readonly DirectoryMember[],
  serviceAccounts: readonly DirectoryServiceAccount[],
  teamIds: readonly string[],
  memberships: readonly MembershipRow[],
  grants: readonly GrantRow[],
): Content {
  const memberEntries = new Map(
    members.map(({ id, role, state }) => [id, newEntry(state === MemberState.ACTIVE ? role : Role.UNSPECIFIED)]),
  );
  const accountEntries = new Map(
    serviceAccounts.map(({ id, role, disabled }) => [id, newEntry(disabled ? Role.UNSPECIFIED : role)]),
  );
  const entryOf = (kind: SubjectKind, id: string): Entry | undefined =>
    kind === SubjectKind.MEMBER ? memberEntries.get(id) : accountEntries.get(id);
  for (const { teamId, kind, subjectId } of memberships) entryOf(kind, subjectId)?.teams.add(teamId);

  const teamGrants = new Map<string, Map<string, Role>>(teamIds.map((id) => [id, new Map()]));
  for (const { agentId, kind, subjectId, role } of grants) {
    const held = kind === SubjectKind.TEAM ? teamGrants.get(subjectId) : entryOf(kind, subjectId)?.grants;
    held?.set(agentId, role);
  }
  return {
    members: new Map(members.map((member) => [member.id, member])),
    serviceAccounts: new Map(serviceAccounts.map((account) => [account.id, account])),
    teamIds: new Set(teamIds),
    memberEntries,
    accountEntries,
    teamGrants,
    digest: createHash("sha256")
      .update(JSON.stringify([members, serviceAccounts, teamIds, memberships, grants]))
      .digest("base64"),
  };
}

function newEntry(role: Role): Entry {
  return { role, teams: new Set(), grants: new Map() };
}
