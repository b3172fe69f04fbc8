import { sql, type Queryable } from "@openhermit/postgres";

/** Waits until no other transaction changes the catalogue. Changes are rare, and so they need no finer order. */
export async function lockWrites(tx: Queryable): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended('openhermit.catalog.write', 0))`);
}

/** Whether this transaction is the only one that applies a manifest; it stays so to its end. */
export async function tryLockApply(tx: Queryable): Promise<boolean> {
  const { rows } = await tx.query<{ locked: boolean }>(
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended('openhermit.catalog.apply', 0)) AS locked`,
  );
  return rows[0]?.locked === true;
}
