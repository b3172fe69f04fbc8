import { joinSql, sql, type Queryable } from "@openhermit/postgres";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";
import type { StoredTeam } from "./team.ts";

const COLUMNS = sql`t.id, t.display_name AS "displayName", t.create_time AS "createTime", coalesce((
  SELECT jsonb_agg(jsonb_build_object('kind', m.kind, 'id', m.subject_id) ORDER BY m.kind, m.subject_id)
  FROM access.team_members m WHERE m.team_id = t.id), '[]') AS members`;

/** Stores a team; false when the id is in use. */
export async function insertTeam(tx: Queryable, id: string, displayName: string): Promise<boolean> {
  const { rowCount } = await tx.query(
    sql`INSERT INTO access.teams (id, display_name) VALUES (${id}, ${displayName}) ON CONFLICT DO NOTHING`,
  );
  return rowCount === 1;
}

/** One team. */
export async function readTeam(db: Queryable, id: string): Promise<StoredTeam | undefined> {
  const { rows } = await db.query<StoredTeam>(sql`SELECT ${COLUMNS} FROM access.teams t WHERE t.id = ${id}`);
  return rows[0];
}

/** Up to `limit` teams after an id, ordered; `only`: of these. */
export async function listTeams(
  db: Queryable,
  only: readonly string[] | undefined,
  afterId: string,
  limit: number,
): Promise<StoredTeam[]> {
  const conditions = [sql`t.id > ${afterId}::text COLLATE "C"`];
  if (only !== undefined) conditions.push(sql`t.id = ANY(${only}::text[])`);
  const { rows } = await db.query<StoredTeam>(
    sql`SELECT ${COLUMNS} FROM access.teams t WHERE ${joinSql(conditions, " AND ")} ORDER BY t.id LIMIT ${limit}`,
  );
  return rows;
}

/** Removes a team with its memberships and grants; false when there is none. */
export async function deleteTeam(tx: Queryable, id: string): Promise<boolean> {
  await tx.query(sql`DELETE FROM access.grants WHERE kind = ${SubjectKind.TEAM} AND subject_id = ${id}`);
  const { rowCount } = await tx.query(sql`DELETE FROM access.teams WHERE id = ${id}`);
  return rowCount === 1;
}

/** Puts somebody into a team; false when it is there already. */
export async function insertTeamMember(tx: Queryable, teamId: string, { kind, id }: SubjectRef): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO access.team_members (team_id, kind, subject_id) VALUES (${teamId}, ${kind}, ${id}) ON CONFLICT DO NOTHING`);
  return rowCount === 1;
}

/** Takes somebody out of a team; false when it is not there. */
export async function deleteTeamMember(tx: Queryable, teamId: string, { kind, id }: SubjectRef): Promise<boolean> {
  const { rowCount } = await tx.query(
    sql`DELETE FROM access.team_members WHERE team_id = ${teamId} AND kind = ${kind} AND subject_id = ${id}`,
  );
  return rowCount === 1;
}
