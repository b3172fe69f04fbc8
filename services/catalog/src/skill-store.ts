import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { SkillDescriptionSchema, SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { assignedColumns, SKILL_ASSIGNMENTS, writeAssignments, type AssignedRow } from "./assignment-store.ts";
import type { Stored } from "./catalog-item.ts";

interface SkillRow extends AssignedRow {
  id: string;
  digest: string;
  description: JsonValue;
  size_bytes: bigint;
  file_count: number;
  version: bigint;
  create_time: Date;
  update_time: Date;
}

const SELECT = sql`
  SELECT s.id, s.digest, s.version, s.create_time, s.update_time, b.description, b.size_bytes, b.file_count,
    ${assignedColumns(SKILL_ASSIGNMENTS)}
  FROM catalog.skills s JOIN catalog.bundles b ON b.digest = s.digest`;

/** The named skills that exist. */
export async function readSkills(db: Queryable, ids: readonly string[]): Promise<Map<string, Stored<Skill>>> {
  const { rows } = await db.query<SkillRow>(sql`${SELECT} WHERE s.id = ANY(${ids}::text[])`);
  return new Map(rows.map((row) => [row.id, toStored(row)]));
}

/** Up to `limit` skills after an id, in the order of their ids; without a limit all of them. */
export async function listSkills(db: Queryable, afterId: string, limit?: number): Promise<Stored<Skill>[]> {
  const { rows } = await db.query<SkillRow>(
    sql`${SELECT} WHERE s.id > ${afterId}::text COLLATE "C" ORDER BY s.id LIMIT ${limit ?? null}::bigint`,
  );
  return rows.map(toStored);
}

/** Creates or replaces skills with their assignment. Their bundles are stored. */
export async function writeSkills(tx: Queryable, skills: readonly Skill[]): Promise<void> {
  await tx.query(sql`
    INSERT INTO catalog.skills (id, digest, version)
    SELECT id, digest, nextval('catalog.revision_numbers')
    FROM unnest(${skills.map(({ id }) => id)}::text[], ${skills.map(({ digest }) => digest)}::text[]) AS s (id, digest)
    ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, version = excluded.version, update_time = now()`);
  await writeAssignments(tx, SKILL_ASSIGNMENTS, skills);
}

/** Removes skills with their assignment; their bundles stay for a day. */
export async function deleteSkills(tx: Queryable, ids: readonly string[]): Promise<void> {
  await tx.query(sql`DELETE FROM catalog.skills WHERE id = ANY(${ids}::text[])`);
}

function toStored(row: SkillRow): Stored<Skill> {
  const item = create(SkillSchema, {
    id: row.id,
    digest: row.digest,
    agents: row.agents,
    disabledAgents: row.disabled_agents,
    description: fromJson(SkillDescriptionSchema, row.description, { ignoreUnknownFields: true }),
    sizeBytes: row.size_bytes,
    fileCount: row.file_count,
  });
  return { item, version: row.version, createTime: row.create_time, updateTime: row.update_time };
}
