import { sql, type Queryable } from "@openhermit/postgres";

/**
 * Waits until no other transaction changes who may do what. Taken first by every write of members, roles, states, teams,
 * service accounts, grants and tokens, so that what a transaction checked still holds when it commits: of two owners who
 * demote each other at once, one remains. Such changes are rare, and so they need no finer order.
 */
export async function lockAccess(tx: Queryable): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended('openhermit.access.write', 0))`);
}
