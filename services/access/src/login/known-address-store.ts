import { sql, type Queryable } from "@openhermit/postgres";

/** How long an address stays known after a login, in milliseconds. */
const KNOWN_MS = 30 * 24 * 3_600_000;

/** Remembers that a member has logged in from an address, and forgets what is too old, of everybody. */
export async function rememberAddress(tx: Queryable, memberId: string, address: string, now: Date): Promise<void> {
  await tx.query(sql`
    WITH old AS (
      DELETE FROM access.known_addresses
      WHERE last_login_time <= ${new Date(now.getTime() - KNOWN_MS)} AND (member_id, address) <> (${memberId}, ${address})
    )
    INSERT INTO access.known_addresses (member_id, address, last_login_time) VALUES (${memberId}, ${address}, ${now})
    ON CONFLICT (member_id, address) DO UPDATE SET last_login_time = excluded.last_login_time`);
}

/** Whether a member has logged in from an address within 30 days. */
export async function isKnownAddress(db: Queryable, memberId: string, address: string, now: Date): Promise<boolean> {
  const { rows } = await db.query(sql`
    SELECT 1 FROM access.known_addresses
    WHERE member_id = ${memberId} AND address = ${address} AND last_login_time > ${new Date(now.getTime() - KNOWN_MS)}`);
  return rows.length > 0;
}

/** Forgets the addresses of a member. */
export async function forgetAddresses(tx: Queryable, memberId: string): Promise<void> {
  await tx.query(sql`DELETE FROM access.known_addresses WHERE member_id = ${memberId}`);
}
