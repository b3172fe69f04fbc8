import { Launcher } from "@openhermit/protocol/fleet/v1/agent";
import type { Database } from "@openhermit/postgres";
import type { Log } from "@openhermit/telemetry";
import type { AgentDirectory } from "../agent-directory.ts";
import { readTeams } from "../agent-directory-store.ts";
import { readDefaults } from "../defaults-store.ts";
import { isEmptySpec } from "../effective-spec.ts";
import { effectiveValues, exportFleet } from "../export-fleet.ts";
import type { FleetPorts, FleetService } from "../fleet-ports.ts";
import type { Builtins } from "../provider.ts";
import { readProviders } from "../provider-store.ts";
import { withoutClaim } from "../sidecar-claim-store.ts";
import { applyFleet } from "./apply-fleet.ts";

/** What the fleet offers a manifest. */
export type ManifestPorts = Pick<
  FleetService,
  | "providerNames"
  | "agentTeams"
  | "storedDefaults"
  | "applyFleet"
  | "manifestApplied"
  | "exportFleet"
  | "effectiveValues"
>;

/** Makes what the fleet offers a manifest. */
export function createManifestPorts({
  database,
  ports,
  builtins,
  directory,
  log,
}: {
  database: Database;
  ports: Pick<FleetPorts, "isTeam" | "forgetAgents" | "revokeSidecars">;
  builtins: Builtins;
  directory: () => AgentDirectory;
  log: Log;
}): ManifestPorts {
  const parts = {
    builtins,
    isTeam: (teamId: string) => ports.isTeam(teamId),
    forgetAgents: ((tx, agentIds) => ports.forgetAgents(tx, agentIds)) satisfies FleetPorts["forgetAgents"],
  };
  return {
    providerNames: async (tx) => [...new Set([...builtins.keys(), ...(await readProviders(tx)).keys()])],
    agentTeams: readTeams,
    applyFleet: (tx, wanted, options) => applyFleet(tx, wanted, options, parts),
    exportFleet,
    effectiveValues,

    async storedDefaults(tx) {
      const { spec } = await readDefaults(tx);
      return isEmptySpec(spec) ? undefined : spec;
    },

    async manifestApplied(deletedAgentIds) {
      // One that somebody else started may host others too; it is the mesh that takes the agent from it.
      const isExternal = new Map(
        directory()
          .all()
          .map(({ id, launcher }) => [id, launcher === Launcher.EXTERNAL]),
      );
      await directory()
        .refresh()
        .catch(() => undefined);
      const own = deletedAgentIds.filter((id) => isExternal.get(id) !== true);
      if (own.length === 0) return;
      try {
        // A sidecar that runs still says how its turns ended; whoever runs it revokes its key when it is gone.
        const idle = await withoutClaim(database, own);
        if (idle.length > 0) await ports.revokeSidecars(idle);
      } catch (error) {
        log.warn({ agent_ids: own.slice(0, 20), count: own.length, err: error }, "sidecars not revoked");
      }
    },
  };
}
