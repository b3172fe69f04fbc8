import type { JsonValue } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import type { AgentSpec, DesiredState, Launcher } from "@openhermit/protocol/fleet/v1/agent";
import type { StoredAgent } from "./agent.ts";
import { toLauncher } from "./agent-directory-store.ts";
import { AGENT_COLUMNS, toDesiredState, toStoredAgent, type AgentRow } from "./agent-store.ts";
import type { Observation } from "./agent-status.ts";
import { STATUS_COLUMNS, toObservation, type StatusRow } from "./agent-status-store.ts";
import { DEFAULTS_OF_LIST, defaultsOfList, EFFECTIVE_LAUNCHER, FLEET_REVISION } from "./defaults-store.ts";

/** An agent with what is observed of it. */
export interface ObservedAgent {
  readonly agent: StoredAgent;
  /** What it takes that it does not set itself. */
  readonly defaults: AgentSpec;
  readonly observation: Observation;
  /** The fleet's part of the generation: the agent's own revision and those of the providers and the defaults. */
  readonly revision: bigint;
}

interface ObservedRow extends AgentRow, StatusRow {
  whole_revision: bigint;
  defaults: JsonValue | null;
}

const SELECT_OBSERVED = sql`
  SELECT ${AGENT_COLUMNS}, ${STATUS_COLUMNS}, a.revision + ${FLEET_REVISION} AS whole_revision, ${DEFAULTS_OF_LIST}
  FROM fleet.agents a LEFT JOIN fleet.agent_status s ON s.agent_id = a.id`;

/** One agent as observed. */
export async function readObservedAgent(db: Queryable, id: string): Promise<ObservedAgent | undefined> {
  const { rows } = await db.query<ObservedRow>(sql`${SELECT_OBSERVED} WHERE a.id = ${id}`);
  return toObserved(rows)[0];
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
  return toObserved(rows);
}

function toObserved(rows: readonly ObservedRow[]): ObservedAgent[] {
  const defaults = defaultsOfList(rows);
  return rows.map((row) => ({
    agent: toStoredAgent(row),
    defaults,
    observation: toObservation(row),
    revision: row.whole_revision,
  }));
}

/** How an agent runs, without what it is told to do. */
export interface AgentRun {
  readonly id: string;
  readonly displayName: string;
  readonly team: string;
  readonly desiredState: DesiredState;
  readonly desiredSince: Date;
  /** The effective one. */
  readonly launcher: Launcher;
  readonly observation: Observation;
  /** The fleet's part of the generation. */
  readonly revision: bigint;
}

/** How the named agents run, or all, in the order of their ids; one statement, and a light one. */
export async function readRuns(db: Queryable, ids: readonly string[] | "all"): Promise<AgentRun[]> {
  const bound = ids === "all" ? sql`true` : sql`a.id = ANY(${ids}::text[])`;
  type Row = Pick<AgentRow, "id" | "display_name" | "team" | "desired_state" | "desired_since"> & StatusRow;
  const { rows } = await db.query<Row & { launcher: string; whole_revision: bigint }>(sql`
    SELECT a.id, a.display_name, a.team, a.desired_state, a.desired_since, ${EFFECTIVE_LAUNCHER} AS launcher,
      a.revision + ${FLEET_REVISION} AS whole_revision, ${STATUS_COLUMNS}
    FROM fleet.agents a LEFT JOIN fleet.agent_status s ON s.agent_id = a.id
    WHERE ${bound} ORDER BY a.id`);
  return rows.map((row) => ({
    id: row.id,
    displayName: row.display_name,
    team: row.team,
    desiredState: toDesiredState(row.desired_state),
    desiredSince: row.desired_since,
    launcher: toLauncher(row.launcher),
    observation: toObservation(row),
    revision: row.whole_revision,
  }));
}
