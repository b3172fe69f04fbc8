import { rawSql, sql, type Database, type Queryable } from "@openhermit/postgres";
import type { MemberState } from "@openhermit/protocol/access/v1/member";
import type { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";

/** A member, as far as rights go. */
export interface DirectoryMember {
  readonly id: string;
  readonly displayName: string;
  readonly role: Role;
  readonly state: MemberState;
  /** Whether it logs in with a provider of identities. */
  readonly external: boolean;
  /** When its role last changed. */
  readonly roleTime: Date;
}

/** A service account, as far as rights go. */
export interface DirectoryServiceAccount {
  readonly id: string;
  readonly displayName: string;
  readonly role: Role;
  readonly disabled: boolean;
}

/** One subject in one team. */
export interface MembershipRow {
  readonly teamId: string;
  readonly kind: SubjectKind;
  readonly subjectId: string;
}

/** One grant, as far as rights go. */
export interface GrantRow {
  readonly agentId: string;
  readonly kind: SubjectKind;
  readonly subjectId: string;
  readonly role: Role;
}

/** The whole directory, all rows in order. */
export interface DirectoryRows {
  readonly members: readonly DirectoryMember[];
  readonly serviceAccounts: readonly DirectoryServiceAccount[];
  readonly teamIds: readonly string[];
  readonly memberships: readonly MembershipRow[];
  readonly grants: readonly GrantRow[];
}

/** Reads the whole directory, as it was at one moment. */
export function readDirectoryRows(database: Database): Promise<DirectoryRows> {
  return database.transaction(async (tx) => {
    await beginSnapshot(tx);
    return {
      members: await readAllMembers(tx),
      serviceAccounts: await readAllServiceAccounts(tx),
      teamIds: await readAllTeamIds(tx),
      memberships: await readAllMemberships(tx),
      grants: await readAllGrants(tx),
    };
  });
}

/** Lets the statements of the transaction that follow see one state of the database. */
async function beginSnapshot(tx: Queryable): Promise<void> {
  await tx.query(rawSql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"));
}

/** All members. */
async function readAllMembers(db: Queryable): Promise<DirectoryMember[]> {
  const { rows } = await db.query<DirectoryMember>(sql`
    SELECT id, display_name AS "displayName", role, state, external_issuer IS NOT NULL AS external, role_time AS "roleTime"
    FROM access.members ORDER BY id`);
  return rows;
}

/** All service accounts. */
async function readAllServiceAccounts(db: Queryable): Promise<DirectoryServiceAccount[]> {
  const { rows } = await db.query<DirectoryServiceAccount>(
    sql`SELECT id, display_name AS "displayName", role, disabled FROM access.service_accounts ORDER BY id`,
  );
  return rows;
}

/** The ids of all teams. */
async function readAllTeamIds(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(sql`SELECT id FROM access.teams ORDER BY id`);
  return rows.map(({ id }) => id);
}

/** Who is in which team, ordered by team. */
async function readAllMemberships(db: Queryable): Promise<MembershipRow[]> {
  const { rows } = await db.query<MembershipRow>(
    sql`SELECT team_id AS "teamId", kind, subject_id AS "subjectId" FROM access.team_members ORDER BY team_id, kind, subject_id`,
  );
  return rows;
}

/** All grants. */
async function readAllGrants(db: Queryable): Promise<GrantRow[]> {
  const { rows } = await db.query<GrantRow>(
    sql`SELECT agent_id AS "agentId", kind, subject_id AS "subjectId", role FROM access.grants ORDER BY agent_id, kind, subject_id`,
  );
  return rows;
}
