import { create, fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { AgentCatalog } from "./catalog-ports.ts";
import { EVERY_AGENT, type StoredMcpServer } from "./mcp-server.ts";

/** The channel on which changes are announced; the payload is an agent's id or `*`. */
export const CATALOG_CHANNEL = "openhermit_catalog";

interface ServerRow {
  id: string;
  spec: JsonValue;
  agents: string[];
  version: bigint;
  create_time: Date;
  update_time: Date;
}

const COLUMNS = sql`s.id, s.spec, s.version, s.create_time, s.update_time, ARRAY(
  SELECT a.agent_id FROM catalog.mcp_assignments a WHERE a.mcp_server_id = s.id ORDER BY a.agent_id) AS agents`;

/** Waits until no other transaction changes the catalogue. Changes are rare, and so they need no finer order. */
export async function lockWrites(tx: Queryable): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended('openhermit.catalog.write', 0))`);
}

/** Whether this transaction is the only one that applies a manifest; it stays so to its end. */
export async function tryLockApply(tx: Queryable): Promise<boolean> {
  const { rows } = await tx.query<{ locked: boolean }>(
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended('openhermit.catalog.apply', 0)) AS locked`,
  );
  return rows[0]?.locked === true;
}

/** The named servers that exist. */
export async function readServers(db: Queryable, ids: readonly string[]): Promise<Map<string, StoredMcpServer>> {
  const { rows } = await db.query<ServerRow>(
    sql`SELECT ${COLUMNS} FROM catalog.mcp_servers s WHERE s.id = ANY(${ids}::text[])`,
  );
  return new Map(rows.map((row) => [row.id, toStored(row)]));
}

/** Up to `limit` servers after an id, in the order of their ids. */
export async function listServers(db: Queryable, afterId: string, limit: number): Promise<StoredMcpServer[]> {
  const { rows } = await db.query<ServerRow>(
    sql`SELECT ${COLUMNS} FROM catalog.mcp_servers s WHERE s.id > ${afterId}::text COLLATE "C" ORDER BY s.id LIMIT ${limit}`,
  );
  return rows.map(toStored);
}

/** Creates or replaces a server with its assignment. */
export async function writeServer(tx: Queryable, server: McpServer): Promise<void> {
  const { id, agents } = server;
  const spec = JSON.stringify(toJson(McpServerSchema, create(McpServerSchema, { ...server, id: "", agents: [] })));
  await tx.query(sql`
    INSERT INTO catalog.mcp_servers (id, spec, version)
    VALUES (${id}, ${spec}::jsonb, nextval('catalog.revision_numbers'))
    ON CONFLICT (id) DO UPDATE SET spec = excluded.spec, version = excluded.version, update_time = now()`);
  await tx.query(sql`
    WITH gone AS (
      DELETE FROM catalog.mcp_assignments WHERE mcp_server_id = ${id} AND agent_id <> ALL(${agents}::text[])
    )
    INSERT INTO catalog.mcp_assignments (agent_id, mcp_server_id)
    SELECT agent_id, ${id} FROM unnest(${agents}::text[]) AS agent_id
    ON CONFLICT DO NOTHING`);
}

/** Removes a server with its assignment. */
export async function deleteServer(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM catalog.mcp_servers WHERE id = ${id}`);
}

/** Removes an agent's own assignments; `*` stays. The servers get a new etag. */
export async function unassignAgent(tx: Queryable, agentId: string): Promise<number> {
  const { rowCount } = await tx.query(sql`
    WITH gone AS (DELETE FROM catalog.mcp_assignments WHERE agent_id = ${agentId} RETURNING mcp_server_id)
    UPDATE catalog.mcp_servers s SET version = nextval('catalog.revision_numbers'), update_time = now()
    FROM gone WHERE s.id = gone.mcp_server_id`);
  return rowCount;
}

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

/** What each agent uses, read as `agent_id IN (agent, '*')`, with its revision. Each asked agent has an entry. */
export async function readCatalogs(db: Queryable, agentIds: readonly string[]): Promise<Map<string, AgentCatalog>> {
  const { rows } = await db.query<{ target: string; revision: bigint; id: string | null; spec: JsonValue }>(sql`
    SELECT t.target, coalesce(r.revision, 0) AS revision, s.id, s.spec
    FROM (SELECT DISTINCT unnest(${[...agentIds, EVERY_AGENT]}::text[]) AS target) t
    LEFT JOIN catalog.revisions r ON r.target = t.target
    LEFT JOIN catalog.mcp_assignments a ON a.agent_id = t.target
    LEFT JOIN catalog.mcp_servers s ON s.id = a.mcp_server_id`);
  const own = new Map<string, { servers: Map<string, McpServer>; revision: bigint }>();
  for (const row of rows) {
    const entry = own.get(row.target) ?? { servers: new Map<string, McpServer>(), revision: row.revision };
    if (row.id !== null) entry.servers.set(row.id, toServer(row.id, row.spec, []));
    own.set(row.target, entry);
  }
  const every = own.get(EVERY_AGENT);
  return new Map(
    agentIds.map((agentId) => {
      const entry = own.get(agentId);
      const servers = new Map([...(every?.servers ?? []), ...(entry?.servers ?? [])]);
      const ordered = [...servers.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
      return [agentId, { servers: ordered, revision: (entry?.revision ?? 0n) + (every?.revision ?? 0n) }];
    }),
  );
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

function toStored(row: ServerRow): StoredMcpServer {
  return {
    server: toServer(row.id, row.spec, row.agents),
    version: row.version,
    createTime: row.create_time,
    updateTime: row.update_time,
  };
}

function toServer(id: string, spec: JsonValue, agents: string[]): McpServer {
  // A field that a newer gateway wrote is not known here and not lost there.
  const server = fromJson(McpServerSchema, spec, { ignoreUnknownFields: true });
  server.id = id;
  server.agents = agents;
  return server;
}
