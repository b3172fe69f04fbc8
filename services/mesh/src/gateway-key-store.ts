import { sql, type Queryable } from "@openhermit/postgres";

/** How long a public key is kept after its gateway last said that it is in use. */
const KEY_LIFE = "24 hours";

/** A public key as stored. */
export interface StoredGatewayKey {
  keyId: string;
  /** 32 bytes. */
  publicKey: Uint8Array;
}

/** Stores a gateway's public key, or keeps it for longer, and tells the other gateways. */
export async function publishGatewayKey(db: Queryable, key: StoredGatewayKey & { gatewayId: string }): Promise<void> {
  await db.query(sql`
    WITH stored AS (
      INSERT INTO mesh.gateway_keys AS k (key_id, gateway_id, public_key, expire_time)
      VALUES (${key.keyId}, ${key.gatewayId}, ${Buffer.from(key.publicKey)}, now() + ${KEY_LIFE}::interval)
      ON CONFLICT (key_id) DO UPDATE SET expire_time = excluded.expire_time
      RETURNING k.key_id, xmax = 0 AS inserted)
    SELECT pg_notify('openhermit_mesh', json_build_object('kind', 'key', 'keyId', key_id)::text)
    FROM stored WHERE inserted`);
}

/** All public keys in use. */
export async function listGatewayKeys(db: Queryable): Promise<StoredGatewayKey[]> {
  const { rows } = await db.query<{ key_id: string; public_key: Buffer }>(
    sql`SELECT key_id, public_key FROM mesh.gateway_keys WHERE expire_time > now()`,
  );
  return rows.map((row) => ({ keyId: row.key_id, publicKey: row.public_key }));
}
