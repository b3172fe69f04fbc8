import { sql, type Queryable } from "@openhermit/postgres";

/** Whether this transaction is the only one that applies a manifest; it stays so to its end. */
export async function tryLockApply(tx: Queryable): Promise<boolean> {
  const { rows } = await tx.query<{ locked: boolean }>(
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended('openhermit.fleet.apply', 0)) AS locked`,
  );
  return rows[0]?.locked === true;
}
