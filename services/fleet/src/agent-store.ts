import { create, fromJson, toJson, type JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import {
  AgentSpecSchema,
  DesiredState,
  Launcher,
  ProviderSchema,
  type Provider,
  type ProviderKind,
} from "@openhermit/protocol/fleet/v1/agent";
import { providerOf, type DesiredAgent, type StoredAgent } from "./agent.ts";
import type { Observation } from "./agent-status.ts";
import { STATUS_COLUMNS, toObservation, type StatusRow } from "./agent-status-store.ts";

interface AgentRow {
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

/** An agent with what is observed of it. */
export interface ObservedAgent {
  readonly agent: StoredAgent;
  readonly observation: Observation;
  /** The fleet's part of the generation: the agent's own revision and that of the providers. */
  readonly revision: bigint;
}

const COLUMNS = sql`a.id, a.display_name, a.labels, a.spec, a.desired_state, a.desired_since, a.team, a.version,
  a.revision, a.request_id, a.request_digest, a.create_time, a.update_time`;

/** The providers' part of every agent's generation. A sum, since each row's revision only grows. */
const PROVIDERS_REVISION = sql`(SELECT coalesce(sum(p.revision), 0)::bigint FROM fleet.providers p)`;

interface ObservedRow extends AgentRow, StatusRow {
  whole_revision: bigint;
}

const SELECT_OBSERVED = sql`
  SELECT ${COLUMNS}, ${STATUS_COLUMNS}, a.revision + ${PROVIDERS_REVISION} AS whole_revision
  FROM fleet.agents a LEFT JOIN fleet.agent_status s ON s.agent_id = a.id`;

/** Adds an agent; false when its id or its request id is in use. */
export async function insertAgent(
  db: Queryable,
  agent: DesiredAgent,
  request: { id: string; digest: string },
): Promise<boolean> {
  const { rowCount } = await db.query(sql`
    INSERT INTO fleet.agents (
      id, display_name, labels, spec, desired_state, team, version, revision, request_id, request_digest)
    SELECT ${agent.id}, ${agent.displayName}, ${JSON.stringify(agent.labels)}::jsonb, ${specText(agent)}::jsonb,
      ${agent.desiredState}::smallint, ${agent.team}, number, number, ${request.id}, ${request.digest}
    FROM (SELECT nextval('fleet.revision_numbers') AS number) AS drawn
    ON CONFLICT DO NOTHING`);
  return rowCount === 1;
}

/** Replaces what is wanted of an agent. The numbers are drawn under the row's lock, so they only grow. */
export async function updateAgent(
  tx: Queryable,
  agent: DesiredAgent,
  { newSnapshot }: { newSnapshot: boolean },
): Promise<void> {
  await tx.query(sql`
    UPDATE fleet.agents SET
      display_name = ${agent.displayName},
      labels = ${JSON.stringify(agent.labels)}::jsonb,
      spec = ${specText(agent)}::jsonb,
      desired_since = CASE WHEN desired_state = ${agent.desiredState}::smallint THEN desired_since ELSE now() END,
      desired_state = ${agent.desiredState}::smallint,
      team = ${agent.team},
      version = nextval('fleet.revision_numbers'),
      revision = CASE WHEN ${newSnapshot}::boolean THEN nextval('fleet.revision_numbers') ELSE revision END,
      update_time = now()
    WHERE id = ${agent.id}`);
}

/** Asks for a restart of the agent's sidecar. Not a change of the agent: etag and update time stay. */
export async function requestRestart(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`UPDATE fleet.agents SET restart_number = nextval('fleet.revision_numbers') WHERE id = ${id}`);
}

/** Removes an agent and what is observed of it. That a team owned it is kept. */
export async function deleteAgent(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`
    WITH status AS (DELETE FROM fleet.agent_status WHERE agent_id = ${id}),
    gone AS (DELETE FROM fleet.agents WHERE id = ${id} RETURNING id, team)
    INSERT INTO fleet.retired_agents (agent_id, team) SELECT id, team FROM gone WHERE team <> ''
    ON CONFLICT (agent_id) DO UPDATE SET team = excluded.team, delete_time = excluded.delete_time`);
}

/** The teams of those of the agents that were deleted when a team owned them, by agent. */
export async function readRetired(db: Queryable, ids: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await db.query<{ agent_id: string; team: string }>(
    sql`SELECT agent_id, team FROM fleet.retired_agents WHERE agent_id = ANY(${ids}::text[])`,
  );
  return new Map(rows.map((row) => [row.agent_id, row.team]));
}

/** Forgets that teams owned deleted agents of these ids; returns their teams, by agent. */
export async function takeRetired(tx: Queryable, ids: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await tx.query<{ agent_id: string; team: string }>(
    sql`DELETE FROM fleet.retired_agents WHERE agent_id = ANY(${ids}::text[]) RETURNING agent_id, team`,
  );
  return new Map(rows.map((row) => [row.agent_id, row.team]));
}

/** The named agents that exist, locked to the end of the transaction, in the order of their ids. */
export async function lockAgents(tx: Queryable, ids: readonly string[]): Promise<Map<string, StoredAgent>> {
  const { rows } = await tx.query<AgentRow>(
    sql`SELECT ${COLUMNS} FROM fleet.agents a WHERE a.id = ANY(${ids}::text[]) ORDER BY a.id FOR UPDATE`,
  );
  return new Map(rows.map((row) => [row.id, toStored(row)]));
}

/** The named agents that exist, without a lock. */
export async function readAgents(db: Queryable, ids: readonly string[]): Promise<Map<string, StoredAgent>> {
  const { rows } = await db.query<AgentRow>(
    sql`SELECT ${COLUMNS} FROM fleet.agents a WHERE a.id = ANY(${ids}::text[])`,
  );
  return new Map(rows.map((row) => [row.id, toStored(row)]));
}

/** The agents of an id or of a request id: what an insert may have met. */
export async function findCollisions(db: Queryable, id: string, requestId: string): Promise<StoredAgent[]> {
  const { rows } = await db.query<AgentRow>(sql`
    SELECT ${COLUMNS} FROM fleet.agents a
    WHERE a.id = ${id} OR (a.request_id = ${requestId} AND ${requestId}::text <> '')`);
  return rows.map(toStored);
}

/** One agent as observed. */
export async function readObservedAgent(db: Queryable, id: string): Promise<ObservedAgent | undefined> {
  const { rows } = await db.query<ObservedRow>(sql`${SELECT_OBSERVED} WHERE a.id = ${id}`);
  return rows[0] === undefined ? undefined : toObserved(rows[0]);
}

/** Up to `limit` agents after an id, as observed, in the order of their ids; `among` bounds it to these agents. */
export async function listObservedAgents(
  db: Queryable,
  afterId: string,
  limit: number,
  among?: readonly string[],
): Promise<ObservedAgent[]> {
  const bound = among === undefined ? sql`true` : sql`a.id = ANY(${among}::text[])`;
  const { rows } = await db.query<ObservedRow>(
    sql`${SELECT_OBSERVED} WHERE a.id > ${afterId}::text COLLATE "C" AND ${bound} ORDER BY a.id LIMIT ${limit}`,
  );
  return rows.map(toObserved);
}

/** What is kept in memory of an agent. */
export interface DirectoryEntry {
  readonly id: string;
  readonly displayName: string;
  readonly launcher: Launcher;
  readonly desiredState: DesiredState;
  readonly desiredSince: Date;
  /** The team that owns the agent; empty: nobody. */
  readonly team: string;
}

/** All agents, as far as they are kept in memory, and the teams of the deleted ones that a team owned; one statement. */
export async function readDirectory(
  db: Queryable,
): Promise<{ agents: DirectoryEntry[]; retired: ReadonlyMap<string, string> }> {
  const { rows } = await db.query<{
    id: string;
    display_name: string;
    launcher: string | null;
    desired_state: number;
    desired_since: Date;
    team: string;
    retired: boolean;
  }>(sql`
    SELECT id, display_name, spec->>'launcher' AS launcher, desired_state, desired_since, team, false AS retired
    FROM fleet.agents
    UNION ALL
    SELECT agent_id, '', NULL, 0::smallint, delete_time, team, true FROM fleet.retired_agents
    ORDER BY id`);
  const agents = rows
    .filter(({ retired }) => !retired)
    .map((row) => ({
      id: row.id,
      displayName: row.display_name,
      launcher: row.launcher === "LAUNCHER_EXTERNAL" ? Launcher.EXTERNAL : Launcher.PROCESS,
      desiredState: toDesiredState(row.desired_state),
      desiredSince: row.desired_since,
      team: row.team,
    }));
  return { agents, retired: new Map(rows.filter(({ retired }) => retired).map(({ id, team }) => [id, team])) };
}

/** The teams of all agents, by agent, in the order of the agents' ids. */
export async function readTeams(db: Queryable): Promise<Map<string, string>> {
  const { rows } = await db.query<{ id: string; team: string }>(sql`SELECT id, team FROM fleet.agents ORDER BY id`);
  return new Map(rows.map(({ id, team }) => [id, team]));
}

/** The teams of those of the agents that exist, by agent. None of them moves or goes before the transaction ends. */
export async function holdTeams(tx: Queryable, ids: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await tx.query<{ id: string; team: string }>(
    sql`SELECT id, team FROM fleet.agents WHERE id = ANY(${ids}::text[]) ORDER BY id FOR SHARE`,
  );
  return new Map(rows.map(({ id, team }) => [id, team]));
}

/** Announces a change; the payload is read by fleet-channel.ts. */
export async function announce(db: Queryable, channel: string, payloads: readonly string[]): Promise<void> {
  await db.query(sql`SELECT pg_notify(${channel}, payload) FROM unnest(${payloads}::text[]) AS payload`);
}

/** Whether this transaction is the only one that applies a manifest; it stays so to its end. */
export async function tryLockApply(tx: Queryable): Promise<boolean> {
  const { rows } = await tx.query<{ locked: boolean }>(
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended('openhermit.fleet.apply', 0)) AS locked`,
  );
  return rows[0]?.locked === true;
}

/** An agent as a snapshot is compiled from it. */
export interface RevisedAgent {
  readonly agent: StoredAgent;
  /** Undefined when it is not stored. */
  readonly provider: Provider | undefined;
  /** The fleet's part of the generation. */
  readonly revision: bigint;
}

/** The agents of a list that exist, with their providers and the fleet's part of their generations; one statement. */
export async function readRevisedAgents(db: Queryable, ids: readonly string[]): Promise<RevisedAgent[]> {
  const { rows } = await db.query<
    AgentRow & { whole_revision: bigint; kind: number | null; base_url: string; api_key_env: string }
  >(sql`
    SELECT ${COLUMNS}, a.revision + ${PROVIDERS_REVISION} AS whole_revision, p.kind, p.base_url, p.api_key_env
    FROM fleet.agents a LEFT JOIN fleet.providers p ON p.name = split_part(a.spec->>'model', '/', 1)
    WHERE a.id = ANY(${ids}::text[]) ORDER BY a.id`);
  return rows.map((row) => {
    const agent = toStored(row);
    const { base_url: baseUrl, api_key_env: apiKeyEnv, kind } = row;
    const name = providerOf(agent.spec);
    const provider =
      kind === null ? undefined : create(ProviderSchema, { name, kind: kind as ProviderKind, baseUrl, apiKeyEnv });
    return { agent, provider, revision: row.whole_revision };
  });
}

function toObserved(row: ObservedRow): ObservedAgent {
  return { agent: toStored(row), observation: toObservation(row), revision: row.whole_revision };
}

function toStored(row: AgentRow): StoredAgent {
  return {
    id: row.id,
    displayName: row.display_name,
    labels: row.labels,
    // A field that a newer gateway wrote is not known here and must not make the agent unreadable.
    spec: fromJson(AgentSpecSchema, row.spec, { ignoreUnknownFields: true }),
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

function toDesiredState(value: number): DesiredAgent["desiredState"] {
  return value === DesiredState.STOPPED ? DesiredState.STOPPED : DesiredState.RUNNING;
}

function specText({ spec }: DesiredAgent): string {
  return JSON.stringify(toJson(AgentSpecSchema, spec));
}
