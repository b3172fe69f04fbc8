import { joinSql, sql, type Queryable, type Sql } from "@openhermit/postgres";
import type { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";
import type { StoredGrant } from "./grant.ts";

interface Row extends Omit<StoredGrant, "subject" | "creator"> {
  kind: SubjectKind;
  subjectId: string;
  creatorKind: SubjectKind;
  creatorId: string;
}

/** Which grants a list has. */
export interface GrantFilter {
  /** Empty: of all agents. */
  readonly agentId: string;
  /** Undefined: of everybody; without an id: of all of the kind. */
  readonly subject: SubjectRef | undefined;
}

const COLUMNS = sql`agent_id AS "agentId", kind, subject_id AS "subjectId", role, creator_kind AS "creatorKind",
  creator_id AS "creatorId", create_time AS "createTime"`;

/** One grant. */
export async function readGrant(
  db: Queryable,
  agentId: string,
  { kind, id }: SubjectRef,
): Promise<StoredGrant | undefined> {
  const { rows } = await db.query<Row>(
    sql`SELECT ${COLUMNS} FROM access.grants WHERE agent_id = ${agentId} AND kind = ${kind} AND subject_id = ${id}`,
  );
  return rows[0] && toGrant(rows[0]);
}

/** Stores a grant, or gives it another role. */
export async function writeGrant(tx: Queryable, grant: Omit<StoredGrant, "createTime">): Promise<void> {
  const { agentId, subject, role, creator } = grant;
  await tx.query(sql`
    INSERT INTO access.grants (agent_id, kind, subject_id, role, creator_kind, creator_id)
    VALUES (${agentId}, ${subject.kind}, ${subject.id}, ${role}, ${creator.kind}, ${creator.id})
    ON CONFLICT (agent_id, kind, subject_id) DO UPDATE
      SET role = excluded.role, creator_kind = excluded.creator_kind, creator_id = excluded.creator_id, create_time = now()`);
}

/** Removes a grant. */
export async function deleteGrant(tx: Queryable, agentId: string, { kind, id }: SubjectRef): Promise<void> {
  await tx.query(sql`DELETE FROM access.grants WHERE agent_id = ${agentId} AND kind = ${kind} AND subject_id = ${id}`);
}

/** Removes all grants on these agents. Returns them, in any order. */
export async function deleteGrantsOn(
  tx: Queryable,
  agentIds: readonly string[],
): Promise<Pick<StoredGrant, "agentId" | "subject">[]> {
  const { rows } = await tx.query<SubjectRef & { agentId: string }>(sql`
    DELETE FROM access.grants WHERE agent_id = ANY(${agentIds}::text[])
    RETURNING agent_id AS "agentId", kind, subject_id AS id`);
  return rows.map(({ agentId, kind, id }) => ({ agentId, subject: { kind, id } }));
}

/** Up to `limit` grants, ordered by agent and subject, after a place. */
export async function listGrants(
  db: Queryable,
  { agentId, subject }: GrantFilter,
  after: { agentId: string; subject: SubjectRef } | undefined,
  limit: number,
): Promise<StoredGrant[]> {
  const conditions: Sql[] = [sql`true`];
  if (agentId !== "") conditions.push(sql`agent_id = ${agentId}`);
  if (subject !== undefined) conditions.push(sql`kind = ${subject.kind}`);
  if (subject !== undefined && subject.id !== "") conditions.push(sql`subject_id = ${subject.id}`);
  if (after !== undefined) {
    conditions.push(sql`(agent_id, kind, subject_id) >
      (${after.agentId}::text COLLATE "C", ${after.subject.kind}::smallint, ${after.subject.id}::text COLLATE "C")`);
  }
  const { rows } = await db.query<Row>(sql`
    SELECT ${COLUMNS} FROM access.grants WHERE ${joinSql(conditions, " AND ")}
    ORDER BY agent_id, kind, subject_id LIMIT ${limit}`);
  return rows.map(toGrant);
}

function toGrant({ kind, subjectId, creatorKind, creatorId, ...rest }: Row): StoredGrant {
  return { ...rest, subject: { kind, id: subjectId }, creator: { kind: creatorKind, id: creatorId } };
}
