import type { JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import { DesiredState } from "@openhermit/protocol/fleet/v1/agent";
import type { DesiredAgent, StoredAgent } from "./agent.ts";
import { specText, toSpec } from "./defaults-store.ts";

/** The columns of fleet.agents. */
export interface AgentRow {
  id: string;
  display_name: string;
  labels: Record<string, string>;
  spec: JsonValue;
  desired_state: number;
  desired_since: Date;
  team: string;
  version: bigint;
  revision: bigint;
  request_id: string;
  request_digest: string;
  create_time: Date;
  update_time: Date;
}

/** The columns of {@link AgentRow}, of a table `a`. */
export const AGENT_COLUMNS = sql`a.id, a.display_name, a.labels, a.spec, a.desired_state, a.desired_since, a.team,
  a.version, a.revision, a.request_id, a.request_digest, a.create_time, a.update_time`;

/** What a row says. */
export function toStoredAgent(row: AgentRow): StoredAgent {
  return {
    id: row.id,
    displayName: row.display_name,
    labels: row.labels,
    spec: toSpec(row.spec),
    desiredState: toDesiredState(row.desired_state),
    desiredSince: row.desired_since,
    team: row.team,
    version: row.version,
    revision: row.revision,
    requestId: row.request_id,
    requestDigest: row.request_digest,
    createTime: row.create_time,
    updateTime: row.update_time,
  };
}

/** The desired state of a column. */
export function toDesiredState(value: number): DesiredAgent["desiredState"] {
  return value === DesiredState.STOPPED ? DesiredState.STOPPED : DesiredState.RUNNING;
}

/** Adds agents in one statement; returns the ids of those whose id and request id were free. */
export async function insertAgents(
  tx: Queryable,
  agents: readonly DesiredAgent[],
  request = { id: "", digest: "" },
): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>(sql`
    INSERT INTO fleet.agents (
      id, display_name, labels, spec, desired_state, team, version, revision, request_id, request_digest)
    SELECT drawn.id, display_name, labels, spec, desired_state, team, number, number, ${request.id}, ${request.digest}
    FROM (SELECT n.*, nextval('fleet.revision_numbers') AS number FROM ${unnested(agents)} ORDER BY n.id) AS drawn
    ON CONFLICT DO NOTHING
    RETURNING id`);
  return rows.map(({ id }) => id);
}

/** An agent as it should be from now on. */
export interface AgentWrite {
  readonly agent: DesiredAgent;
  /** Whether its snapshot becomes another. */
  readonly newSnapshot: boolean;
}

/** Replaces what is wanted of agents, in one statement. The numbers are drawn under the rows' locks, so they only grow. */
export async function updateAgents(tx: Queryable, writes: readonly AgentWrite[]): Promise<void> {
  const renewed = writes.filter(({ newSnapshot }) => newSnapshot).map(({ agent }) => agent.id);
  await tx.query(sql`
    UPDATE fleet.agents a SET
      display_name = n.display_name,
      labels = n.labels,
      spec = n.spec,
      desired_since = CASE WHEN a.desired_state = n.desired_state THEN a.desired_since ELSE now() END,
      desired_state = n.desired_state,
      team = n.team,
      version = nextval('fleet.revision_numbers'),
      revision = CASE WHEN a.id = ANY(${renewed}::text[]) THEN nextval('fleet.revision_numbers') ELSE a.revision END,
      update_time = now()
    FROM ${unnested(writes.map(({ agent }) => agent))}
    WHERE a.id = n.id`);
}

/** Agents as the rows of a table `n`. */
function unnested(agents: readonly DesiredAgent[]): ReturnType<typeof sql> {
  const column = <T>(pick: (agent: DesiredAgent) => T): T[] => agents.map(pick);
  return sql`unnest(
    ${column(({ id }) => id)}::text[], ${column(({ displayName }) => displayName)}::text[],
    ${column(({ labels }) => JSON.stringify(labels))}::jsonb[], ${column(({ spec }) => specText(spec))}::jsonb[],
    ${column(({ desiredState }) => desiredState)}::smallint[], ${column(({ team }) => team)}::text[]
  ) AS n (id, display_name, labels, spec, desired_state, team)`;
}

/** Asks for a restart of the agent's sidecar. Not a change of the agent: etag and update time stay. */
export async function requestRestart(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`UPDATE fleet.agents SET restart_number = nextval('fleet.revision_numbers') WHERE id = ${id}`);
}

/** Removes agents and what is observed of them, in one statement. That teams owned them is kept. */
export async function deleteAgents(tx: Queryable, ids: readonly string[]): Promise<void> {
  await tx.query(sql`
    WITH status AS (DELETE FROM fleet.agent_status WHERE agent_id = ANY(${ids}::text[])),
    gone AS (DELETE FROM fleet.agents WHERE id = ANY(${ids}::text[]) RETURNING id, team)
    INSERT INTO fleet.retired_agents (agent_id, team) SELECT id, team FROM gone WHERE team <> ''
    ON CONFLICT (agent_id) DO UPDATE SET team = excluded.team, delete_time = excluded.delete_time`);
}

/** The named agents that exist, locked to the end of the transaction, in the order of their ids. */
export async function lockAgents(tx: Queryable, ids: readonly string[]): Promise<Map<string, StoredAgent>> {
  const { rows } = await tx.query<AgentRow>(
    sql`SELECT ${AGENT_COLUMNS} FROM fleet.agents a WHERE a.id = ANY(${ids}::text[]) ORDER BY a.id FOR UPDATE`,
  );
  return new Map(rows.map((row) => [row.id, toStoredAgent(row)]));
}

/** The named agents that exist, without a lock, in the order of their ids. */
export async function readAgents(db: Queryable, ids: readonly string[]): Promise<Map<string, StoredAgent>> {
  const { rows } = await db.query<AgentRow>(
    sql`SELECT ${AGENT_COLUMNS} FROM fleet.agents a WHERE a.id = ANY(${ids}::text[]) ORDER BY a.id`,
  );
  return new Map(rows.map((row) => [row.id, toStoredAgent(row)]));
}

/** The agents of an id or of a request id: what an insert may have met. */
export async function findCollisions(db: Queryable, id: string, requestId: string): Promise<StoredAgent[]> {
  const { rows } = await db.query<AgentRow>(sql`
    SELECT ${AGENT_COLUMNS} FROM fleet.agents a
    WHERE a.id = ${id} OR (a.request_id = ${requestId} AND ${requestId}::text <> '')`);
  return rows.map(toStoredAgent);
}
