import { sql, type Queryable } from "@openhermit/postgres";

/** How long a join token can be used. */
const JOIN_TOKEN_LIFE = "10 minutes";

/** A nonce as stored once it was accepted. */
export interface UsedNonce {
  hash: Uint8Array;
  /** When it would be refused anyway. */
  expireTime: Date;
}

/** A sidecar as the gateway knows it from its join. */
export interface EnrolledSidecar {
  sidecarId: string;
  agentIds: string[];
}

/** Waits until no other transaction invites this sidecar. */
export async function lockSidecar(tx: Queryable, sidecarId: string): Promise<void> {
  await tx.query(
    sql`SELECT pg_advisory_xact_lock(hashtextextended('openhermit.mesh.invite ' || ${sidecarId}::text, 0))`,
  );
}

/** The agents that a sidecar has joined for, and those that it may still join for. */
export async function readSidecarAgents(db: Queryable, sidecarId: string): Promise<string[]> {
  const { rows } = await db.query<{ agent_id: string }>(sql`
    SELECT unnest(agent_ids) AS agent_id FROM mesh.sidecars WHERE id = ${sidecarId}
    UNION
    SELECT unnest(agent_ids) FROM mesh.join_tokens WHERE sidecar_id = ${sidecarId} AND expire_time > now()`);
  return rows.map((row) => row.agent_id);
}

/** Stores a join token; returns when it expires. */
export async function insertJoinToken(
  db: Queryable,
  token: { hash: Uint8Array; sidecarId: string; agentIds: readonly string[] },
): Promise<Date> {
  const { rows } = await db.query<{ expire_time: Date }>(sql`
    INSERT INTO mesh.join_tokens (token_hash, sidecar_id, agent_ids, expire_time)
    VALUES (${Buffer.from(token.hash)}, ${token.sidecarId}, ${token.agentIds}::text[], now() + ${JOIN_TOKEN_LIFE}::interval)
    RETURNING expire_time`);
  const row = rows[0];
  if (row === undefined) throw new Error("insert of a join token returned no row");
  return row.expire_time;
}

/**
 * Consumes a join token and a nonce and registers the key, in one statement. The key before is replaced and its
 * streams are fenced. Undefined when the token is unknown, used or too old, or the nonce was used.
 */
export async function consumeJoinToken(
  db: Queryable,
  join: { tokenHash: Uint8Array; publicKey: Uint8Array; nonce: UsedNonce },
): Promise<EnrolledSidecar | undefined> {
  const nonceHash = Buffer.from(join.nonce.hash);
  const { rows } = await db.query<{ id: string; agent_ids: string[] }>(sql`
    WITH token AS (
      DELETE FROM mesh.join_tokens
      WHERE token_hash = ${Buffer.from(join.tokenHash)} AND expire_time > now()
        AND NOT EXISTS (SELECT 1 FROM mesh.used_nonces WHERE nonce_hash = ${nonceHash})
      RETURNING sidecar_id, agent_ids),
    nonce AS (
      INSERT INTO mesh.used_nonces (nonce_hash, expire_time)
      SELECT ${nonceHash}, ${join.nonce.expireTime} FROM token
      ON CONFLICT DO NOTHING RETURNING nonce_hash),
    joined AS (
      INSERT INTO mesh.sidecars AS s (id, public_key, agent_ids)
      SELECT sidecar_id, ${Buffer.from(join.publicKey)}, agent_ids FROM token, nonce
      ON CONFLICT (id) DO UPDATE
        SET public_key = excluded.public_key, agent_ids = excluded.agent_ids, revoked = false, join_time = now()
      RETURNING s.id, s.agent_ids),
    fenced AS (
      INSERT INTO mesh.outboxes AS o (sidecar_id) SELECT id FROM joined
      ON CONFLICT (sidecar_id) DO UPDATE SET epoch = o.epoch + 1
      RETURNING o.sidecar_id, o.epoch),
    told AS MATERIALIZED (
      SELECT pg_notify('openhermit_mesh',
        json_build_object('kind', 'fence', 'sidecarId', sidecar_id, 'epoch', epoch::text, 'cause', 'replaced')::text)
      FROM fenced)
    SELECT joined.id, joined.agent_ids FROM joined, told`);
  const row = rows[0];
  return row === undefined ? undefined : { sidecarId: row.id, agentIds: row.agent_ids };
}

/** Consumes a nonce for a key that is registered and not revoked; undefined when the key is not, or the nonce was used. */
export async function consumeNonceOfKey(
  db: Queryable,
  proof: { publicKey: Uint8Array; nonce: UsedNonce },
): Promise<EnrolledSidecar | undefined> {
  const { rows } = await db.query<{ id: string; agent_ids: string[] }>(sql`
    WITH sidecar AS (
      SELECT id, agent_ids FROM mesh.sidecars WHERE public_key = ${Buffer.from(proof.publicKey)} AND NOT revoked),
    nonce AS (
      INSERT INTO mesh.used_nonces (nonce_hash, expire_time)
      SELECT ${Buffer.from(proof.nonce.hash)}, ${proof.nonce.expireTime} FROM sidecar
      ON CONFLICT DO NOTHING RETURNING nonce_hash)
    SELECT sidecar.id, sidecar.agent_ids FROM sidecar, nonce`);
  const row = rows[0];
  return row === undefined ? undefined : { sidecarId: row.id, agentIds: row.agent_ids };
}

/** The registered key of a sidecar; undefined when it never joined or is revoked. */
export async function readSidecarIdentity(
  db: Queryable,
  sidecarId: string,
): Promise<{ publicKey: Uint8Array; agentIds: string[] } | undefined> {
  const { rows } = await db.query<{ public_key: Buffer; agent_ids: string[] }>(
    sql`SELECT public_key, agent_ids FROM mesh.sidecars WHERE id = ${sidecarId} AND NOT revoked`,
  );
  const row = rows[0];
  return row === undefined ? undefined : { publicKey: row.public_key, agentIds: row.agent_ids };
}

/** Removes what is too old to be of use: join tokens, nonces and keys of gateways that are gone. */
export async function sweepExpired(db: Queryable): Promise<void> {
  await db.query(sql`
    WITH tokens AS (DELETE FROM mesh.join_tokens WHERE expire_time < now()),
    nonces AS (DELETE FROM mesh.used_nonces WHERE expire_time < now() - interval '1 minute')
    DELETE FROM mesh.gateway_keys WHERE expire_time < now()`);
}
