import { sql, type Queryable, type Sql } from "@openhermit/postgres";
import type { CatalogItem } from "./catalog-item.ts";

/** The table in which the assignment of one kind of thing is kept. */
export interface AssignmentTable {
  readonly table: Sql;
  /** Its column with the thing's id. */
  readonly column: Sql;
}

/** The assignment of MCP servers. */
export const MCP_ASSIGNMENTS: AssignmentTable = { table: sql`catalog.mcp_assignments`, column: sql`mcp_server_id` };

/** The assignment of skills. */
export const SKILL_ASSIGNMENTS: AssignmentTable = { table: sql`catalog.skill_assignments`, column: sql`skill_id` };

/** What {@link assignedColumns} selects. */
export interface AssignedRow {
  agents: string[];
  disabled_agents: string[];
}

/** The columns of a thing `s` with its assignment, in order. */
export function assignedColumns({ table, column }: AssignmentTable): Sql {
  const rows = (condition: Sql): Sql => sql`ARRAY(
    SELECT a.agent_id FROM ${table} a WHERE a.${column} = s.id AND ${condition} ORDER BY a.agent_id)`;
  return sql`${rows(sql`a.enabled`)} AS agents, ${rows(sql`NOT a.enabled`)} AS disabled_agents`;
}

/** Makes the rows of these things what they say; rows that are so already are not touched. */
export async function writeAssignments(
  tx: Queryable,
  { table, column }: AssignmentTable,
  items: readonly CatalogItem[],
): Promise<void> {
  const rows = items.flatMap(({ id, agents, disabledAgents }) => [
    ...agents.map((agentId) => ({ id, agentId, enabled: true })),
    ...disabledAgents.map((agentId) => ({ id, agentId, enabled: false })),
  ]);
  await tx.query(sql`
    WITH wanted AS (
      SELECT * FROM unnest(
        ${rows.map(({ agentId }) => agentId)}::text[],
        ${rows.map(({ id }) => id)}::text[],
        ${rows.map(({ enabled }) => enabled)}::boolean[]
      ) AS w (agent_id, item_id, enabled)
    ), gone AS (
      DELETE FROM ${table} a
      WHERE a.${column} = ANY(${items.map(({ id }) => id)}::text[])
        AND NOT EXISTS (SELECT FROM wanted w WHERE w.agent_id = a.agent_id AND w.item_id = a.${column})
    )
    INSERT INTO ${table} AS a (agent_id, ${column}, enabled)
    SELECT agent_id, item_id, enabled FROM wanted
    ON CONFLICT (agent_id, ${column}) DO UPDATE SET enabled = excluded.enabled WHERE a.enabled <> excluded.enabled`);
}

/** Removes all rows of these agents; those of `*` stay. What loses a row gets a new etag. One statement for all. */
export async function unassignAgents(tx: Queryable, agentIds: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ agent_id: string }>(sql`
    WITH servers AS (
      DELETE FROM catalog.mcp_assignments WHERE agent_id = ANY(${agentIds}::text[]) RETURNING agent_id, mcp_server_id
    ), skills AS (
      DELETE FROM catalog.skill_assignments WHERE agent_id = ANY(${agentIds}::text[]) RETURNING agent_id, skill_id
    ), changed_servers AS (
      UPDATE catalog.mcp_servers SET version = nextval('catalog.revision_numbers'), update_time = now()
      WHERE id IN (SELECT mcp_server_id FROM servers)
    ), changed_skills AS (
      UPDATE catalog.skills SET version = nextval('catalog.revision_numbers'), update_time = now()
      WHERE id IN (SELECT skill_id FROM skills)
    )
    SELECT agent_id FROM servers UNION SELECT agent_id FROM skills ORDER BY agent_id`);
  return rows.map(({ agent_id }) => agent_id);
}
