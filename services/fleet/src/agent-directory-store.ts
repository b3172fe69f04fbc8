import { sql, type Queryable } from "@openhermit/postgres";
import { Launcher, type DesiredState } from "@openhermit/protocol/fleet/v1/agent";
import { toDesiredState } from "./agent-store.ts";
import { EFFECTIVE_LAUNCHER } from "./defaults-store.ts";

/** What is kept in memory of an agent. */
export interface DirectoryEntry {
  readonly id: string;
  readonly displayName: string;
  /** The effective one. */
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
    launcher: string;
    desired_state: number;
    desired_since: Date;
    team: string;
    retired: boolean;
  }>(sql`
    SELECT a.id, a.display_name, ${EFFECTIVE_LAUNCHER} AS launcher, a.desired_state, a.desired_since, a.team,
      false AS retired
    FROM fleet.agents a
    UNION ALL
    SELECT agent_id, '', '', 0::smallint, delete_time, team, true FROM fleet.retired_agents
    ORDER BY id`);
  const agents = rows
    .filter(({ retired }) => !retired)
    .map((row) => ({
      id: row.id,
      displayName: row.display_name,
      launcher: toLauncher(row.launcher),
      desiredState: toDesiredState(row.desired_state),
      desiredSince: row.desired_since,
      team: row.team,
    }));
  return { agents, retired: new Map(rows.filter(({ retired }) => retired).map(({ id, team }) => [id, team])) };
}

/** The launcher of a column. */
export function toLauncher(name: string): Launcher {
  return name === "LAUNCHER_EXTERNAL" ? Launcher.EXTERNAL : Launcher.PROCESS;
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
