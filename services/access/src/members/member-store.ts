import { sql, type Queryable } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { Role, SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { CodeKind } from "../login/one-time-code.ts";
import type { SubjectRef } from "../principal.ts";
import type { MemberTraits, StoredMember } from "./member.ts";

const COLUMNS = sql`m.id, m.display_name AS "displayName", m.role, m.state, m.create_time AS "createTime",
  m.update_time AS "updateTime", m.last_login_time AS "lastLoginTime", m.password_hash IS NOT NULL AS "hasPassword",
  m.external_issuer IS NOT NULL AS external,
  ARRAY(SELECT t.team_id FROM access.team_members t
    WHERE t.kind = ${SubjectKind.MEMBER} AND t.subject_id = m.id ORDER BY t.team_id) AS "teamIds",
  (SELECT max(c.expire_time) FROM access.one_time_codes c
    WHERE c.member_id = m.id AND c.kind = ${CodeKind.INVITE} AND c.expire_time > now()) AS "inviteExpireTime"`;

/** A member; undefined when there is none. */
export async function readMember(db: Queryable, id: string): Promise<StoredMember | undefined> {
  const { rows } = await db.query<StoredMember>(sql`SELECT ${COLUMNS} FROM access.members m WHERE m.id = ${id}`);
  return rows[0];
}

/** Up to `limit` members after an id, in the order of their ids. */
export async function listMembers(db: Queryable, afterId: string, limit: number): Promise<StoredMember[]> {
  const { rows } = await db.query<StoredMember>(sql`
    SELECT ${COLUMNS} FROM access.members m WHERE m.id > ${afterId}::text COLLATE "C" ORDER BY m.id LIMIT ${limit}`);
  return rows;
}

/** The member that a provider of identities knows by this subject. */
export async function readExternalMember(
  db: Queryable,
  issuer: string,
  subject: string,
): Promise<StoredMember | undefined> {
  const { rows } = await db.query<StoredMember>(sql`
    SELECT ${COLUMNS} FROM access.members m WHERE m.external_issuer = ${issuer} AND m.external_subject = ${subject}`);
  return rows[0];
}

/** Adds a member; false when the id is in use. */
export async function insertMember(
  tx: Queryable,
  member: MemberTraits & {
    id: string;
    passwordHash?: string;
    external?: { readonly issuer: string; readonly subject: string };
  },
): Promise<boolean> {
  const { id, displayName, role, state, passwordHash = null, external } = member;
  const { rowCount } = await tx.query(sql`
    INSERT INTO access.members (id, display_name, role, state, password_hash, external_issuer, external_subject)
    VALUES (${id}, ${displayName}, ${role}, ${state}, ${passwordHash}, ${external?.issuer ?? null}, ${external?.subject ?? null})
    ON CONFLICT (id) DO NOTHING`);
  return rowCount > 0;
}

/** Changes a member. */
export async function updateMember(
  tx: Queryable,
  id: string,
  { displayName, role, state }: MemberTraits,
): Promise<void> {
  await tx.query(sql`
    UPDATE access.members SET display_name = ${displayName}, state = ${state}, update_time = now(),
      role_time = CASE WHEN role = ${role} THEN role_time ELSE now() END, role = ${role}
    WHERE id = ${id}`);
}

/** Removes a member. */
export async function deleteMember(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM access.members WHERE id = ${id}`);
}

/** Takes a member out of its teams. */
export async function deleteMemberships(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM access.team_members WHERE kind = ${SubjectKind.MEMBER} AND subject_id = ${id}`);
}

/** Removes the grants that a member holds. */
export async function deleteGrants(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM access.grants WHERE kind = ${SubjectKind.MEMBER} AND subject_id = ${id}`);
}

/** Puts a member into teams. */
export async function insertMemberships(tx: Queryable, id: string, teamIds: readonly string[]): Promise<void> {
  await tx.query(sql`
    INSERT INTO access.team_members (team_id, kind, subject_id)
    SELECT team_id, ${SubjectKind.MEMBER}, ${id} FROM unnest(${teamIds}::text[]) AS team_id
    ON CONFLICT DO NOTHING`);
}

/** The first of these teams that does not exist. */
export async function readMissingTeam(db: Queryable, teamIds: readonly string[]): Promise<string | undefined> {
  const { rows } = await db.query<{ id: string }>(sql`
    SELECT id FROM unnest(${teamIds}::text[]) WITH ORDINALITY AS asked (id, place)
    WHERE NOT EXISTS (SELECT 1 FROM access.teams t WHERE t.id = asked.id) ORDER BY place LIMIT 1`);
  return rows[0]?.id;
}

/** Whether an owner other than this member can log in. */
export async function hasOtherOwner(db: Queryable, id: string): Promise<boolean> {
  const { rows } = await db.query(sql`
    SELECT 1 FROM access.members WHERE role = ${Role.OWNER} AND state = ${MemberState.ACTIVE} AND id <> ${id} LIMIT 1`);
  return rows.length > 0;
}

/** The role of a subject as this transaction sees it; UNSPECIFIED for who is unknown or disabled. */
export async function readRole(tx: Queryable, { kind, id }: SubjectRef): Promise<Role> {
  if (kind === SubjectKind.LOCAL_OPERATOR) return Role.OWNER;
  const { rows } = await tx.query<{ role: Role }>(sql`
    SELECT role FROM access.members
    WHERE ${kind}::int = ${SubjectKind.MEMBER} AND id = ${id} AND state = ${MemberState.ACTIVE}
    UNION ALL
    SELECT role FROM access.service_accounts
    WHERE ${kind}::int = ${SubjectKind.SERVICE_ACCOUNT} AND id = ${id} AND NOT disabled`);
  return rows[0]?.role ?? Role.UNSPECIFIED;
}

/** The hash of the password of a member who can log in with one; undefined for everybody else. */
export async function readPasswordHash(db: Queryable, id: string): Promise<string | undefined> {
  const { rows } = await db.query<{ hash: string }>(sql`
    SELECT password_hash AS hash FROM access.members
    WHERE id = ${id} AND state = ${MemberState.ACTIVE} AND external_issuer IS NULL AND password_hash IS NOT NULL`);
  return rows[0]?.hash;
}

/** Gives a member a password, with which it can log in. */
export async function writePassword(tx: Queryable, id: string, passwordHash: string): Promise<void> {
  await tx.query(sql`UPDATE access.members SET password_hash = ${passwordHash}, update_time = now() WHERE id = ${id}`);
}

/** Writes down a login of a member. */
export async function writeLoginTime(tx: Queryable, id: string, time: Date): Promise<void> {
  await tx.query(sql`UPDATE access.members SET last_login_time = ${time} WHERE id = ${id}`);
}

/** Which ids that begin with this one are in use. */
export async function readIdsLike(db: Queryable, id: string): Promise<Set<string>> {
  const { rows } = await db.query<{ id: string }>(
    sql`SELECT id FROM access.members WHERE id = ${id} OR starts_with(id, ${`${id}-`})`,
  );
  return new Set(rows.map((row) => row.id));
}
