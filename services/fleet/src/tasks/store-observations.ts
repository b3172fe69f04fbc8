import type { Database } from "@openhermit/postgres";
import { writeLinks, writeProcesses } from "../agent-status-store.ts";
import type { Observations } from "../observations.ts";
import type { GatewayIdentity } from "../sidecar-claim-store.ts";

/** What the task works on. */
export interface StoreObservationsOptions {
  database: Database;
  gateway: GatewayIdentity;
  observations: Observations;
}

/** Stores what was observed since the last run: at most one statement for links and one for processes. */
export async function storeObservations({ database, gateway, observations }: StoreObservationsOptions): Promise<void> {
  const unstored = observations.take();
  try {
    if (unstored.links.length > 0) await writeLinks(database, unstored.links, gateway.instanceId);
    if (unstored.processes.length > 0) await writeProcesses(database, unstored.processes, gateway.id);
  } catch (error) {
    observations.giveBack(unstored);
    throw error;
  }
}
