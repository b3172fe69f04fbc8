import { sql, type Queryable } from "@openhermit/postgres";

/** Waits until no other apply runs on this database; held to the end of the transaction. */
export async function lockApply(tx: Queryable): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended('openhermit.manifest.apply', 0))`);
}
