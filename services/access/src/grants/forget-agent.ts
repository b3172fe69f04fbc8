import type { RecordChanges } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import { announce } from "../access-channel-store.ts";
import { lockAccess } from "../access-lock-store.ts";
import { deleteGrantsOn } from "./grant-store.ts";
import { grantName } from "./grant.ts";

/** Takes all grants on an agent that is deleted: they were not meant for whatever gets its id one day. */
export async function forgetAgent(database: Database, record: RecordChanges, agentId: string): Promise<void> {
  await database.transaction(async (tx) => {
    await lockAccess(tx);
    const subjects = await deleteGrantsOn(tx, agentId);
    if (subjects.length === 0) return;
    await record(
      tx,
      subjects.map((subject) => ({
        action: "grants.delete",
        targetType: "grant",
        targetId: grantName({ agentId, subject }),
      })),
    );
    await announce(tx, [{ kind: "directory" }]);
  });
}
