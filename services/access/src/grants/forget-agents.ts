import type { RecordChanges } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { announce } from "../access-channel-store.ts";
import { lockAccess } from "../access-lock-store.ts";
import { deleteGrantsOn } from "./grant-store.ts";
import { grantName } from "./grant.ts";

/**
 * Takes all grants on agents that a transaction deletes: they were not meant for whatever gets their ids one day. Returns
 * whether there were any.
 */
export async function forgetAgents(
  tx: Queryable,
  record: RecordChanges,
  agentIds: readonly string[],
): Promise<boolean> {
  if (agentIds.length === 0) return false;
  await lockAccess(tx);
  const grants = await deleteGrantsOn(tx, agentIds);
  if (grants.length === 0) return false;
  await record(
    tx,
    grants.map((grant) => ({ action: "grants.delete", targetType: "grant", targetId: grantName(grant) })),
  );
  await announce(tx, [{ kind: "directory" }]);
  return true;
}
