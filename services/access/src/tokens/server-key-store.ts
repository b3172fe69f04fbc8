import { sql, type Queryable } from "@openhermit/postgres";

/** Stores a key unless there is one of that name, and returns the one that is stored. */
export async function putServerKey(db: Queryable, name: string, key: Buffer): Promise<Buffer> {
  await db.query(sql`INSERT INTO access.server_keys (name, key) VALUES (${name}, ${key}) ON CONFLICT DO NOTHING`);
  const { rows } = await db.query<{ key: Buffer }>(sql`SELECT key FROM access.server_keys WHERE name = ${name}`);
  const stored = rows[0]?.key;
  if (stored === undefined) throw new Error(`server key ${name} is gone right after it was stored`);
  return stored;
}
