import { sql, type Queryable } from "@openhermit/postgres";

/** Whether there is, or was, an owner; from the first one on there always is. */
export async function readHasOwner(db: Queryable): Promise<boolean> {
  const { rows } = await db.query(sql`SELECT 1 FROM access.ownership`);
  return rows.length > 0;
}

/** Says that a member is an owner; true for the first one. Of many at once one is the first. */
export async function insertOwnership(tx: Queryable, memberId: string, now: Date): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO access.ownership (member_id, claim_time) VALUES (${memberId}, ${now}) ON CONFLICT DO NOTHING`);
  return rowCount > 0;
}
