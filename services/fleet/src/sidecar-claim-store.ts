import { sql, type Queryable } from "@openhermit/postgres";
import { EFFECTIVE_LAUNCHER, EFFECTIVE_PROVIDER } from "./defaults-store.ts";

/** One gateway among those on a database. */
export interface GatewayIdentity {
  /** Stays the same when the gateway starts again in the same home. */
  readonly id: string;
  /** A UUIDv7, new at each start. */
  readonly instanceId: string;
}

/** An agent whose sidecar should run, or a sidecar that somebody runs. */
export interface Placement {
  readonly agentId: string;
  /** Undefined when no sidecar should run: the agent is stopped, gone, or launched by somebody else. */
  readonly wanted:
    | {
        /** The variable with the key of the agent's effective provider; undefined when the provider is not stored. */
        readonly apiKeyEnv: string | undefined;
        readonly provider: string;
        readonly restartNumber: bigint;
      }
    | undefined;
  /** Whether the agent still exists. */
  readonly exists: boolean;
  /** Who runs it, if somebody does. */
  readonly claim:
    | {
        readonly gatewayId: string;
        readonly marker: string;
        /** Whether that gateway's lease has run out, or it has left. */
        readonly expired: boolean;
      }
    | undefined;
}

/** Says that this gateway lives; false when a newer instance of the same gateway has taken its place. */
export async function renewLease(db: Queryable, gateway: GatewayIdentity, leaseMs: number): Promise<boolean> {
  const { rowCount } = await db.query(sql`
    INSERT INTO fleet.gateways AS g (id, instance_id, lease_until)
    VALUES (${gateway.id}, ${gateway.instanceId}, now() + ${leaseMs}::float8 * interval '1 millisecond')
    ON CONFLICT (id) DO UPDATE SET instance_id = excluded.instance_id, lease_until = excluded.lease_until
    WHERE g.instance_id <= excluded.instance_id`);
  return rowCount === 1;
}

/** Gives up the lease and every claim: others may take over at once. */
export async function endLease(db: Queryable, gateway: GatewayIdentity): Promise<void> {
  await db.query(sql`
    WITH ended AS (
      DELETE FROM fleet.gateways WHERE id = ${gateway.id} AND instance_id = ${gateway.instanceId} RETURNING id
    )
    DELETE FROM fleet.sidecar_claims c USING ended WHERE c.gateway_id = ended.id`);
}

/** Forgets gateways that have been silent for a day and run nothing. */
export async function forgetSilentGateways(db: Queryable): Promise<void> {
  await db.query(sql`
    DELETE FROM fleet.gateways g
    WHERE g.lease_until < now() - interval '1 day'
      AND NOT EXISTS (SELECT FROM fleet.sidecar_claims c WHERE c.gateway_id = g.id)`);
}

/** Every agent whose sidecar should run and every claim; one statement. */
export async function readPlacements(db: Queryable): Promise<Placement[]> {
  const { rows } = await db.query<{
    agent_id: string;
    exists: boolean;
    wanted: boolean | null;
    provider: string | null;
    api_key_env: string | null;
    restart_number: bigint | null;
    gateway_id: string | null;
    marker: string;
    expired: boolean;
  }>(sql`
    SELECT coalesce(a.id, c.agent_id) AS agent_id, a.id IS NOT NULL AS exists,
      a.desired_state = 1 AND ${EFFECTIVE_LAUNCHER} = 'LAUNCHER_PROCESS' AS wanted,
      ${EFFECTIVE_PROVIDER} AS provider, p.api_key_env, a.restart_number,
      c.gateway_id, c.marker, coalesce(g.lease_until, '-infinity') < now() AS expired
    FROM fleet.agents a
    FULL JOIN fleet.sidecar_claims c ON c.agent_id = a.id
    LEFT JOIN fleet.gateways g ON g.id = c.gateway_id
    LEFT JOIN fleet.providers p ON p.name = ${EFFECTIVE_PROVIDER} AND NOT p.removed
    WHERE c.agent_id IS NOT NULL OR (a.desired_state = 1 AND ${EFFECTIVE_LAUNCHER} = 'LAUNCHER_PROCESS')
    ORDER BY 1`);
  return rows.map((row) => ({
    agentId: row.agent_id,
    exists: row.exists,
    wanted:
      row.wanted === true
        ? {
            provider: row.provider ?? "",
            apiKeyEnv: row.api_key_env ?? undefined,
            restartNumber: row.restart_number ?? 0n,
          }
        : undefined,
    claim:
      row.gateway_id === null ? undefined : { gatewayId: row.gateway_id, marker: row.marker, expired: row.expired },
  }));
}

/**
 * Takes agents that nobody runs, or whose gateway's lease has run out; returns those it got. `markers` holds the
 * marker for each. The other gateway's lease is locked meanwhile, so that it can't be renewed and lost at the same time.
 */
export async function claimSidecars(
  db: Queryable,
  gatewayId: string,
  markers: ReadonlyMap<string, string>,
): Promise<string[]> {
  const { rows } = await db.query<{ agent_id: string }>(sql`
    WITH gone AS (
      SELECT id FROM fleet.gateways WHERE id <> ${gatewayId} AND lease_until < now() ORDER BY id FOR UPDATE
    )
    INSERT INTO fleet.sidecar_claims AS c (agent_id, gateway_id, marker)
    SELECT n.agent_id, ${gatewayId}, n.marker
    FROM unnest(${[...markers.keys()]}::text[], ${[...markers.values()]}::text[]) AS n (agent_id, marker)
    ORDER BY n.agent_id
    ON CONFLICT (agent_id) DO UPDATE SET
      gateway_id = excluded.gateway_id, marker = excluded.marker
    WHERE c.gateway_id IN (SELECT id FROM gone)
      OR NOT EXISTS (SELECT FROM fleet.gateways g WHERE g.id = c.gateway_id)
    RETURNING agent_id`);
  return rows.map((row) => row.agent_id);
}

/** Gives up one claim: the sidecar is gone. */
export async function releaseClaim(db: Queryable, gatewayId: string, agentId: string): Promise<void> {
  await db.query(sql`DELETE FROM fleet.sidecar_claims WHERE agent_id = ${agentId} AND gateway_id = ${gatewayId}`);
}

/** Whether some gateway still runs the agent's sidecar. */
export async function isClaimed(db: Queryable, agentId: string): Promise<boolean> {
  const { rowCount } = await db.query(sql`SELECT FROM fleet.sidecar_claims WHERE agent_id = ${agentId}`);
  return rowCount > 0;
}

/** Those of the agents whose sidecar no gateway runs. */
export async function withoutClaim(db: Queryable, agentIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(sql`
    SELECT id FROM unnest(${agentIds}::text[]) AS id
    WHERE NOT EXISTS (SELECT FROM fleet.sidecar_claims c WHERE c.agent_id = id)`);
  return rows.map(({ id }) => id);
}
