import { sql, type Queryable } from "@openhermit/postgres";

/** A sidecar at an epoch. */
export interface Lease {
  sidecarId: string;
  epoch: bigint;
}

/**
 * Renews the leases of all these sidecars with one statement. Returns those that still hold their epoch; `restored`
 * says that the lease had run out and was removed in between.
 */
export async function renewLeases(
  db: Queryable,
  gatewayId: string,
  leaseMs: number,
  leases: readonly Lease[],
): Promise<Map<string, { restored: boolean }>> {
  const { rows } = await db.query<{ sidecar_id: string; restored: boolean }>(sql`
    INSERT INTO mesh.leases AS l (sidecar_id, epoch, gateway_id, lease_until)
    SELECT o.sidecar_id, o.epoch, ${gatewayId}, now() + make_interval(secs => ${leaseMs / 1000}::float8)
    FROM unnest(${leases.map((lease) => lease.sidecarId)}::text[], ${leases.map((lease) => lease.epoch)}::bigint[])
      AS held (sidecar_id, epoch)
    JOIN mesh.outboxes AS o ON o.sidecar_id = held.sidecar_id AND o.epoch = held.epoch
    ORDER BY o.sidecar_id
    ON CONFLICT (sidecar_id) DO UPDATE
      SET epoch = excluded.epoch, gateway_id = excluded.gateway_id, lease_until = excluded.lease_until
    WHERE l.epoch <= excluded.epoch
    RETURNING l.sidecar_id, xmax = 0 AS restored`);
  return new Map(rows.map((row) => [row.sidecar_id, { restored: row.restored }]));
}

/** The leases that have run out, with the agents of their sidecars. */
export async function listExpiredLeases(db: Queryable): Promise<(Lease & { agentIds: string[] })[]> {
  const { rows } = await db.query<{ sidecar_id: string; epoch: bigint; agent_ids: string[] }>(sql`
    SELECT l.sidecar_id, l.epoch, s.agent_ids FROM mesh.leases AS l JOIN mesh.sidecars AS s ON s.id = l.sidecar_id
    WHERE l.lease_until < now() ORDER BY l.sidecar_id`);
  return rows.map((row) => ({ sidecarId: row.sidecar_id, epoch: row.epoch, agentIds: row.agent_ids }));
}

/** Gives up a lease, unless a newer attach holds it. */
export async function releaseLease(db: Queryable, lease: Lease): Promise<void> {
  await db.query(sql`DELETE FROM mesh.leases WHERE sidecar_id = ${lease.sidecarId} AND epoch = ${lease.epoch}`);
}

/** Whether a sidecar is attached somewhere, as far as its lease says. */
export async function hasLease(db: Queryable, sidecarId: string): Promise<boolean> {
  const { rows } = await db.query(
    sql`SELECT 1 FROM mesh.leases WHERE sidecar_id = ${sidecarId} AND lease_until > now()`,
  );
  return rows.length > 0;
}
