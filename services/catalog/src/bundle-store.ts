import { toJson } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { SkillDescriptionSchema, type SkillDescription } from "@openhermit/protocol/catalog/v1/skill";

/** A bundle to store. */
export interface NewBundle {
  readonly digest: string;
  /** As libs/skill-bundle packs it. */
  readonly data: Uint8Array;
  readonly description: SkillDescription;
  /** Of the files together. */
  readonly sizeBytes: number;
  readonly fileCount: number;
}

/** Stores a bundle. One that is there already is kept for another day. */
export async function writeBundle(
  db: Queryable,
  { digest, data, description, sizeBytes, fileCount }: NewBundle,
): Promise<void> {
  if ((await touchBundles(db, [digest])).has(digest)) return;
  await db.query(sql`
    INSERT INTO catalog.bundles (digest, data, description, size_bytes, file_count)
    VALUES (${digest}, ${data}::bytea, ${JSON.stringify(toJson(SkillDescriptionSchema, description))}::jsonb, ${sizeBytes},
      ${fileCount})
    ON CONFLICT (digest) DO UPDATE SET touch_time = now()`);
}

/**
 * Keeps bundles for a day from now, whether a skill names them or not. Answers the names in the SKILL.md of those that are
 * stored. A removal at the same time waits for this transaction, and then leaves them alone.
 */
export async function touchBundles(tx: Queryable, digests: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await tx.query<{ digest: string; name: string }>(sql`
    WITH held AS (SELECT digest FROM catalog.bundles WHERE digest = ANY(${digests}::text[]) ORDER BY digest FOR UPDATE)
    UPDATE catalog.bundles b SET touch_time = now() FROM held WHERE b.digest = held.digest
    RETURNING b.digest, b.description->>'name' AS name`);
  return new Map(rows.map(({ digest, name }) => [digest, name]));
}

/** The names in the SKILL.md of those of the bundles that are stored. */
export async function readBundleNames(db: Queryable, digests: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await db.query<{ digest: string; name: string }>(
    sql`SELECT digest, description->>'name' AS name FROM catalog.bundles WHERE digest = ANY(${digests}::text[])`,
  );
  return new Map(rows.map(({ digest, name }) => [digest, name]));
}

/** A bundle as it was packed. */
export async function readBundle(db: Queryable, digest: string): Promise<Uint8Array | undefined> {
  const { rows } = await db.query<{ data: Uint8Array }>(sql`SELECT data FROM catalog.bundles WHERE digest = ${digest}`);
  return rows[0]?.data;
}

/** A bundle as it was packed, when the agent has a skill with it. */
export async function readBundleFor(db: Queryable, agentId: string, digest: string): Promise<Uint8Array | undefined> {
  const { rows } = await db.query<{ data: Uint8Array }>(sql`
    SELECT b.data FROM catalog.bundles b
    WHERE b.digest = ${digest} AND EXISTS (
      SELECT FROM catalog.skills s
      LEFT JOIN catalog.skill_assignments own ON own.skill_id = s.id AND own.agent_id = ${agentId}
      LEFT JOIN catalog.skill_assignments every ON every.skill_id = s.id AND every.agent_id = '*'
      WHERE s.digest = b.digest AND coalesce(own.enabled, every.enabled, false))`);
  return rows[0]?.data;
}

/**
 * Removes bundles that no skill has named for a day; answers how many. A skill that begins to name one at this moment touches
 * it first: the removal passes over it, or sees that it was touched; or the skill finds the bundle gone. Nobody waits for
 * each other in a circle, since the removal waits for nobody.
 */
export async function removeUnusedBundles(db: Queryable): Promise<number> {
  const { rowCount } = await db.query(sql`
    WITH unused AS (
      SELECT b.digest FROM catalog.bundles b
      WHERE b.touch_time < now() - interval '24 hours'
        AND NOT EXISTS (SELECT FROM catalog.skills s WHERE s.digest = b.digest)
      FOR UPDATE SKIP LOCKED
    )
    DELETE FROM catalog.bundles b USING unused WHERE b.digest = unused.digest`);
  return rowCount;
}
