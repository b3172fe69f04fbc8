import { fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { assignedColumns, MCP_ASSIGNMENTS, writeAssignments, type AssignedRow } from "./assignment-store.ts";
import type { Stored } from "./catalog-item.ts";
import { unassigned } from "./mcp-server.ts";

interface ServerRow extends AssignedRow {
  id: string;
  spec: JsonValue;
  version: bigint;
  create_time: Date;
  update_time: Date;
}

const COLUMNS = sql`s.id, s.spec, s.version, s.create_time, s.update_time, ${assignedColumns(MCP_ASSIGNMENTS)}`;

/** The named servers that exist. */
export async function readServers(db: Queryable, ids: readonly string[]): Promise<Map<string, Stored<McpServer>>> {
  const { rows } = await db.query<ServerRow>(
    sql`SELECT ${COLUMNS} FROM catalog.mcp_servers s WHERE s.id = ANY(${ids}::text[])`,
  );
  return new Map(rows.map((row) => [row.id, toStored(row)]));
}

/** Up to `limit` servers after an id, in the order of their ids; without a limit all of them. */
export async function listServers(db: Queryable, afterId: string, limit?: number): Promise<Stored<McpServer>[]> {
  const { rows } = await db.query<ServerRow>(sql`
    SELECT ${COLUMNS} FROM catalog.mcp_servers s
    WHERE s.id > ${afterId}::text COLLATE "C" ORDER BY s.id LIMIT ${limit ?? null}::bigint`);
  return rows.map(toStored);
}

/** Creates or replaces servers with their assignment. */
export async function writeServers(tx: Queryable, servers: readonly McpServer[]): Promise<void> {
  const specs = servers.map((server) => JSON.stringify(toJson(McpServerSchema, unassigned(server))));
  await tx.query(sql`
    INSERT INTO catalog.mcp_servers (id, spec, version)
    SELECT id, spec::jsonb, nextval('catalog.revision_numbers')
    FROM unnest(${servers.map(({ id }) => id)}::text[], ${specs}::text[]) AS s (id, spec)
    ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, version = excluded.version, update_time = now()`);
  await writeAssignments(tx, MCP_ASSIGNMENTS, servers);
}

/** Removes servers with their assignment. */
export async function deleteServers(tx: Queryable, ids: readonly string[]): Promise<void> {
  await tx.query(sql`DELETE FROM catalog.mcp_servers WHERE id = ANY(${ids}::text[])`);
}

/** A server of its id and the JSON of its column, without assignment. */
export function toServer(id: string, spec: JsonValue): McpServer {
  // A field that a newer gateway wrote is not known here and not lost there.
  const server = fromJson(McpServerSchema, spec, { ignoreUnknownFields: true });
  server.id = id;
  return server;
}

function toStored(row: ServerRow): Stored<McpServer> {
  const item = toServer(row.id, row.spec);
  item.agents = row.agents;
  item.disabledAgents = row.disabled_agents;
  return { item, version: row.version, createTime: row.create_time, updateTime: row.update_time };
}
