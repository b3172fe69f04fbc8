import { create } from "@bufbuild/protobuf";
import type { CatalogService } from "@openhermit/catalog-service";
import type { FleetService } from "@openhermit/fleet-service";
import { SnapshotSchema, type Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";

/**
 * Compiles the snapshots of the agents from the fleet and the catalogue, with one statement each. The generation is the
 * sum of their revisions, see docs/decisions/0003. Agents that do not exist are left out.
 */
export async function compileSnapshots(
  sources: { fleet: Pick<FleetService, "snapshotSources">; catalog: Pick<CatalogService, "catalogsFor"> },
  agentIds: readonly string[],
): Promise<Snapshot[]> {
  const [agents, catalogs] = await Promise.all([
    sources.fleet.snapshotSources(agentIds),
    sources.catalog.catalogsFor(agentIds),
  ]);
  return agents.map(({ agentId, displayName, spec, provider, revision }) => {
    const catalog = catalogs.get(agentId);
    return create(SnapshotSchema, {
      agentId,
      generation: revision + (catalog?.revision ?? 0n),
      displayName,
      spec,
      provider,
      mcpServers: catalog?.servers ?? [],
      skills: catalog?.skills ?? [],
    });
  });
}
