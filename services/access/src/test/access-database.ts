import { sql, type Queryable } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { SubjectKind, type Role } from "@openhermit/protocol/access/v1/subject";
import { testDatabase, type TestDatabase } from "@openhermit/testing";
import { accessMigrations } from "../access-migrations.ts";
import type { SubjectRef } from "../principal.ts";

/** A new database with the tables of access. */
export function accessDatabase(): Promise<TestDatabase> {
  return testDatabase([accessMigrations]);
}

/** The local operator. */
export const LOCAL_OPERATOR: SubjectRef = { kind: SubjectKind.LOCAL_OPERATOR, id: "" };
/** A member, as a subject. */
export const member = (id: string): SubjectRef => ({ kind: SubjectKind.MEMBER, id });
/** A service account, as a subject. */
export const serviceAccount = (id: string): SubjectRef => ({ kind: SubjectKind.SERVICE_ACCOUNT, id });
/** A team, as a subject. */
export const team = (id: string): SubjectRef => ({ kind: SubjectKind.TEAM, id });

/** Puts a member in, or changes its role and state; without a word to any gateway. */
export async function storeMember(
  db: Queryable,
  id: string,
  role: Role,
  state: MemberState = MemberState.ACTIVE,
): Promise<SubjectRef> {
  await db.query(sql`
    INSERT INTO access.members (id, display_name, role, state) VALUES (${id}, ${id}, ${role}, ${state})
    ON CONFLICT (id) DO UPDATE SET role = excluded.role, state = excluded.state, role_time = now()`);
  return member(id);
}

/** Puts a service account in, made by the local operator, or changes its role and whether it is disabled. */
export async function storeServiceAccount(
  db: Queryable,
  id: string,
  role: Role,
  disabled = false,
): Promise<SubjectRef> {
  await db.query(sql`
    INSERT INTO access.service_accounts (id, display_name, role, disabled, creator_kind, creator_id)
    VALUES (${id}, ${id}, ${role}, ${disabled}, ${SubjectKind.LOCAL_OPERATOR}, '')
    ON CONFLICT (id) DO UPDATE SET role = excluded.role, disabled = excluded.disabled`);
  return serviceAccount(id);
}

/** Puts a team in, with exactly these members. */
export async function storeTeam(db: Queryable, id: string, members: readonly SubjectRef[] = []): Promise<SubjectRef> {
  await db.query(sql`INSERT INTO access.teams (id, display_name) VALUES (${id}, ${id}) ON CONFLICT DO NOTHING`);
  await db.query(sql`DELETE FROM access.team_members WHERE team_id = ${id}`);
  for (const subject of members) {
    await db.query(
      sql`INSERT INTO access.team_members (team_id, kind, subject_id) VALUES (${id}, ${subject.kind}, ${subject.id})`,
    );
  }
  return team(id);
}

/** Puts a grant in, given by the local operator, or changes its role. */
export async function storeGrant(db: Queryable, subject: SubjectRef, agentId: string, role: Role): Promise<void> {
  await db.query(sql`
    INSERT INTO access.grants (agent_id, kind, subject_id, role, creator_kind, creator_id)
    VALUES (${agentId}, ${subject.kind}, ${subject.id}, ${role}, ${SubjectKind.LOCAL_OPERATOR}, '')
    ON CONFLICT (agent_id, kind, subject_id) DO UPDATE SET role = excluded.role`);
}

/** Removes everybody and everything. */
export async function clearAccess(db: Queryable): Promise<void> {
  await db.query(
    sql`TRUNCATE access.members, access.service_accounts, access.teams, access.team_members, access.grants, access.tokens`,
  );
}
