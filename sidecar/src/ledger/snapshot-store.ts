import type { DatabaseSync } from "node:sqlite";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { SnapshotSchema, type Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";

/** The last applied snapshot of each agent. */
export interface SnapshotStore {
  /** All of them, ordered by agent. */
  list(): Snapshot[];
  /** Replaces the agent's snapshot. */
  put(snapshot: Snapshot): void;
  /** Forgets an agent. */
  remove(agentId: string): void;
}

/** The table of snapshots. */
export function createSnapshotStore(db: DatabaseSync): SnapshotStore {
  const list = db.prepare("SELECT snapshot FROM snapshots ORDER BY agent_id");
  const put = db.prepare(
    "INSERT INTO snapshots (agent_id, generation, snapshot) VALUES (?, ?, ?) " +
      "ON CONFLICT (agent_id) DO UPDATE SET generation = excluded.generation, snapshot = excluded.snapshot",
  );
  const remove = db.prepare("DELETE FROM snapshots WHERE agent_id = ?");
  return {
    list: () => list.all().map((row) => fromBinary(SnapshotSchema, row["snapshot"] as Uint8Array)),
    put(snapshot) {
      put.run(snapshot.agentId, snapshot.generation, toBinary(SnapshotSchema, snapshot));
    },
    remove(agentId) {
      remove.run(agentId);
    },
  };
}
