import { sql, type Queryable } from "@openhermit/postgres";

/** Waits until no other transaction changes the catalogue. Changes are rare, and so they need no finer order. */
export async function lockWrites(tx: Queryable): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended('openhermit.catalog.write', 0))`);
}
