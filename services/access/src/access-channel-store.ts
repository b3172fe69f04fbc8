import { sql, type Queryable } from "@openhermit/postgres";
import { ACCESS_CHANNEL, encodeNotice, type AccessNotice } from "./access-channel.ts";

/** Tells every gateway, when the transaction commits. Nothing for none; alike ones are told once. */
export async function announce(tx: Queryable, notices: readonly AccessNotice[]): Promise<void> {
  if (notices.length === 0) return;
  const payloads = notices.map(encodeNotice);
  await tx.query(
    sql`SELECT pg_notify(${ACCESS_CHANNEL}, payload) FROM unnest(${[...new Set(payloads)]}::text[]) AS payload`,
  );
}
