import { sql, type Queryable } from "@openhermit/postgres";
import type { StoredCursor } from "./cursor.ts";

/** What a sidecar says of itself when it attaches. */
export interface AttachClaim {
  sidecarId: string;
  gatewayId: string;
  instanceId: string;
  ledgerId: string;
  host: string;
  pid: number;
  version: string;
  leaseMs: number;
}

/**
 * Takes the next epoch for a sidecar and its lease; a new ledger starts with cursor 0. Other gateways are told.
 * Undefined when the sidecar never joined or is revoked.
 */
export async function claimEpoch(
  db: Queryable,
  claim: AttachClaim,
): Promise<{ epoch: bigint; cursor: number } | undefined> {
  const { rows } = await db.query<{ epoch: bigint; cursor: bigint }>(sql`
    WITH sidecar AS (
      UPDATE mesh.sidecars SET attach_time = now(), gateway_id = ${claim.gatewayId}, instance_id = ${claim.instanceId},
        host = ${claim.host}, pid = ${claim.pid}, version = ${claim.version}
      WHERE id = ${claim.sidecarId} AND NOT revoked
      RETURNING id),
    claimed AS (
      UPDATE mesh.outboxes AS o SET epoch = o.epoch + 1, ledger_id = ${claim.ledgerId},
        cursor = CASE WHEN o.ledger_id = ${claim.ledgerId} THEN o.cursor ELSE 0 END
      FROM sidecar WHERE o.sidecar_id = sidecar.id
      RETURNING o.sidecar_id, o.epoch, o.cursor),
    leased AS (
      INSERT INTO mesh.leases AS l (sidecar_id, epoch, gateway_id, lease_until)
      SELECT sidecar_id, epoch, ${claim.gatewayId}, now() + make_interval(secs => ${claim.leaseMs / 1000}::float8) FROM claimed
      ON CONFLICT (sidecar_id) DO UPDATE
        SET epoch = excluded.epoch, gateway_id = excluded.gateway_id, lease_until = excluded.lease_until
      WHERE l.epoch < excluded.epoch),
    told AS MATERIALIZED (
      SELECT pg_notify('openhermit_mesh',
        json_build_object('kind', 'fence', 'sidecarId', sidecar_id, 'epoch', epoch::text, 'cause', 'replaced')::text)
      FROM claimed)
    SELECT claimed.epoch, claimed.cursor FROM claimed, told`);
  const row = rows[0];
  return row === undefined ? undefined : { epoch: row.epoch, cursor: Number(row.cursor) };
}

/** Revokes the keys of sidecars and fences their streams; one statement. */
export async function revokeAndFence(db: Queryable, sidecarIds: readonly string[]): Promise<void> {
  await db.query(sql`
    WITH gone AS (SELECT id FROM mesh.sidecars WHERE id = ANY(${sidecarIds}::text[]) ORDER BY id FOR UPDATE),
    sidecar AS (UPDATE mesh.sidecars s SET revoked = true FROM gone WHERE s.id = gone.id RETURNING s.id),
    tokens AS (DELETE FROM mesh.join_tokens WHERE sidecar_id = ANY(${sidecarIds}::text[])),
    fenced AS (
      UPDATE mesh.outboxes AS o SET epoch = o.epoch + 1 FROM sidecar WHERE o.sidecar_id = sidecar.id
      RETURNING o.sidecar_id, o.epoch)
    SELECT pg_notify('openhermit_mesh',
      json_build_object('kind', 'fence', 'sidecarId', sidecar_id, 'epoch', epoch::text, 'cause', 'revoked')::text)
    FROM fenced`);
}

/** Asks the gateway that holds a sidecar's link to drain it. */
export async function announceDrain(db: Queryable, sidecarId: string, graceMs: number): Promise<void> {
  await db.query(sql`SELECT pg_notify('openhermit_mesh',
    json_build_object('kind', 'drain', 'sidecarId', ${sidecarId}::text, 'graceMs', ${graceMs}::float8)::text)`);
}

/** The fences and cursors of sidecars; one that never joined is missing. */
export async function readCursors(db: Queryable, sidecarIds: readonly string[]): Promise<Map<string, StoredCursor>> {
  const { rows } = await db.query<{ sidecar_id: string; epoch: bigint; ledger_id: string; cursor: bigint }>(
    sql`SELECT sidecar_id, epoch, ledger_id, cursor FROM mesh.outboxes WHERE sidecar_id = ANY(${sidecarIds}::text[])`,
  );
  return new Map(
    rows.map((row) => [row.sidecar_id, { epoch: row.epoch, ledgerId: row.ledger_id, cursor: Number(row.cursor) }]),
  );
}
