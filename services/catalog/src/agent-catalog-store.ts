import { create, type JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SnapshotSkillSchema, type SnapshotSkill } from "@openhermit/protocol/mesh/v1/snapshot";
import { EVERY_AGENT } from "./assignment.ts";
import type { AgentCatalog } from "./catalog-ports.ts";
import { toServer } from "./mcp-server-store.ts";

/** The channel on which changes are announced; the payload is an agent's id or `*`. */
export const CATALOG_CHANNEL = "openhermit_catalog";

/**
 * Gives each target (an agent, or `*`) a higher revision, and announces it. The number is drawn when the row is
 * locked, so a target's revision never falls. `targets` in order, so that two writers can't wait for each other.
 */
export async function raiseRevisions(tx: Queryable, targets: readonly string[]): Promise<void> {
  if (targets.length === 0) return;
  await tx.query(sql`
    WITH raised AS (
      INSERT INTO catalog.revisions (target, revision)
      SELECT target, nextval('catalog.revision_numbers') FROM unnest(${targets}::text[]) AS target
      ON CONFLICT (target) DO UPDATE SET revision = nextval('catalog.revision_numbers')
      RETURNING target
    )
    SELECT pg_notify(${CATALOG_CHANNEL}, target) FROM raised`);
}

/** The revision of each agent's catalogue, that of `*` included. Each asked agent has an entry. */
export async function readRevisions(db: Queryable, agentIds: readonly string[]): Promise<Map<string, bigint>> {
  const { rows } = await db.query<{ target: string; revision: bigint }>(
    sql`SELECT target, revision FROM catalog.revisions WHERE target = ANY(${[...agentIds, EVERY_AGENT]}::text[])`,
  );
  const revisions = new Map(rows.map((row) => [row.target, row.revision]));
  const every = revisions.get(EVERY_AGENT) ?? 0n;
  return new Map(agentIds.map((agentId) => [agentId, (revisions.get(agentId) ?? 0n) + every]));
}

type CatalogRow =
  | { part: "revision"; target: string; revision: bigint }
  | { part: "server row"; target: string; id: string; enabled: boolean }
  | { part: "skill row"; target: string; id: string; enabled: boolean }
  | { part: "server"; id: string; item: JsonValue }
  | { part: "skill"; id: string; item: JsonValue };

/** What each agent uses, read as `agent_id IN (agent, '*')`, with its revision. Each asked agent has an entry. */
export async function readCatalogs(db: Queryable, agentIds: readonly string[]): Promise<Map<string, AgentCatalog>> {
  // One statement sees one state: a revision never comes with the things of another. Each thing is read once.
  const { rows } = await db.query<CatalogRow>(sql`
    WITH targets AS (SELECT DISTINCT unnest(${[...agentIds, EVERY_AGENT]}::text[]) AS target),
    server_rows AS (
      SELECT target, mcp_server_id AS id, enabled FROM targets JOIN catalog.mcp_assignments ON agent_id = target
    ), skill_rows AS (
      SELECT target, skill_id AS id, enabled FROM targets JOIN catalog.skill_assignments ON agent_id = target
    )
    SELECT 'revision' AS part, target, NULL AS id, NULL::boolean AS enabled, revision, NULL::jsonb AS item
    FROM targets JOIN catalog.revisions USING (target)
    UNION ALL SELECT 'server row', target, id, enabled, NULL, NULL FROM server_rows
    UNION ALL SELECT 'skill row', target, id, enabled, NULL, NULL FROM skill_rows
    UNION ALL SELECT 'server', NULL, id, NULL, NULL, spec FROM catalog.mcp_servers
      WHERE id IN (SELECT id FROM server_rows WHERE enabled)
    UNION ALL SELECT 'skill', NULL, s.id, NULL, NULL, jsonb_build_object(
        'digest', s.digest, 'description', b.description->>'description', 'size', b.size_bytes)
      FROM catalog.skills s JOIN catalog.bundles b ON b.digest = s.digest
      WHERE s.id IN (SELECT id FROM skill_rows WHERE enabled)`);
  const revisions = new Map<string, bigint>();
  const servers = createAssignedItems<McpServer>();
  const skills = createAssignedItems<SnapshotSkill>();
  for (const row of rows) {
    if (row.part === "revision") revisions.set(row.target, row.revision);
    else if (row.part === "server row") servers.addRow(row.target, row.id, row.enabled);
    else if (row.part === "skill row") skills.addRow(row.target, row.id, row.enabled);
    else if (row.part === "server") servers.addItem(toServer(row.id, row.item));
    else skills.addItem(toSnapshotSkill(row.id, row.item));
  }
  const every = revisions.get(EVERY_AGENT) ?? 0n;
  return new Map(
    agentIds.map((agentId) => [
      agentId,
      {
        servers: servers.usedBy(agentId),
        skills: skills.usedBy(agentId),
        revision: (revisions.get(agentId) ?? 0n) + every,
      },
    ]),
  );
}

/** Gathers things and the rows of agents and of `*`, and says who uses what. */
function createAssignedItems<Item extends { id: string }>() {
  const items: Item[] = [];
  const rows = new Map<string, Map<string, boolean>>();
  let everybodys: Item[] | undefined;
  return {
    addItem: (item: Item): void => void items.push(item),
    addRow(target: string, id: string, enabled: boolean): void {
      const own = rows.get(target) ?? new Map<string, boolean>();
      rows.set(target, own.set(id, enabled));
    },
    /** All rows and things have been added. In the order of the ids. */
    usedBy(agentId: string): Item[] {
      if (everybodys === undefined) {
        items.sort((a, b) => (a.id < b.id ? -1 : 1));
        everybodys = items.filter(({ id }) => rows.get(EVERY_AGENT)?.get(id) === true);
      }
      const own = rows.get(agentId);
      if (own === undefined) return everybodys;
      const every = rows.get(EVERY_AGENT);
      return items.filter(({ id }) => own.get(id) ?? every?.get(id) ?? false);
    },
  };
}

function toSnapshotSkill(id: string, item: JsonValue): SnapshotSkill {
  const { digest, description, size } = item as { digest: string; description: string | null; size: number };
  return create(SnapshotSkillSchema, { id, digest, description: description ?? "", sizeBytes: BigInt(size) });
}
