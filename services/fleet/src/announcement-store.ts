import { sql, type Queryable } from "@openhermit/postgres";
import { encodeChange, FLEET_CHANNEL, type FleetChange } from "./fleet-channel.ts";

/** Announces changes when the transaction commits; one statement, none for none. */
export async function announceChanges(tx: Queryable, changes: readonly FleetChange[]): Promise<void> {
  if (changes.length === 0) return;
  const payloads = changes.map(encodeChange);
  await tx.query(sql`SELECT pg_notify(${FLEET_CHANNEL}, payload) FROM unnest(${payloads}::text[]) AS payload`);
}
