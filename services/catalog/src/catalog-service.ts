import { join } from "node:path";
import type { MigrationSet, Subscription } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { PeriodicTask } from "@openhermit/reconcile";
import { CATALOG_CHANNEL, readCatalogs, readRevisions } from "./agent-catalog-store.ts";
import { applyCatalog } from "./apply-catalog.ts";
import { EVERY_AGENT } from "./assignment.ts";
import { readBundleFor } from "./bundle-store.ts";
import type { CatalogService, CatalogServiceOptions } from "./catalog-ports.ts";
import { removeAgents } from "./change-catalog.ts";
import { exportCatalog } from "./export-catalog.ts";
import { secretNamesOf } from "./mcp-server.ts";
import { mcpServerRpcs } from "./mcp-server-rpcs.ts";
import { skillRpcs } from "./skill-rpcs.ts";
import { createUnusedBundlesTask } from "./tasks/remove-unused-bundles.ts";

/** The tables of the catalogue. */
export const catalogMigrations: MigrationSet = {
  schema: "catalog",
  directory: join(import.meta.dirname, "../migrations"),
};

/** Makes the catalogue: MCP servers, skills, and which agents use them. */
export function createCatalogService(options: CatalogServiceOptions): CatalogService {
  const { database, log, ports } = options;
  const listeners = new Set<(agentIds: readonly string[] | "all") => void>();
  const announce = (agentIds: readonly string[] | "all"): void => {
    for (const listener of listeners) listener(agentIds);
  };
  let subscription: Subscription | undefined;
  let unusedBundles: PeriodicTask | undefined;

  return {
    routes(router) {
      mcpServerRpcs(router, options);
      skillRpcs(router, options);
    },
    start() {
      subscription ??= database.listen(
        CATALOG_CHANNEL,
        (target) => announce(target === EVERY_AGENT ? "all" : [target]),
        () => announce("all"),
      );
      unusedBundles ??= createUnusedBundlesTask({ database, log });
    },
    async close() {
      listeners.clear();
      subscription?.close();
      await unusedBundles?.stop();
    },
    catalogsFor: (agentIds) => readCatalogs(database, agentIds),
    revisionsFor: (agentIds) => readRevisions(database, agentIds),
    async secretNamesFor(agentIds) {
      const catalogs = await readCatalogs(database, agentIds);
      // Agents share the messages of what is everybody's.
      const names = new Map<McpServer, string[]>();
      const namesOf = (server: McpServer): string[] => {
        const known = names.get(server) ?? secretNamesOf(server);
        names.set(server, known);
        return known;
      };
      return new Map(
        [...catalogs].map(([agentId, { servers }]) => [agentId, [...new Set(servers.flatMap(namesOf))].toSorted()]),
      );
    },
    readBundle: (agentId, digest) => readBundleFor(database, agentId, digest),
    onChanged(callback) {
      listeners.add(callback);
      return () => void listeners.delete(callback);
    },
    forgetAgents: removeAgents,
    applyCatalog: (tx, wanted, apply) => applyCatalog(tx, wanted, apply, ports),
    exportCatalog,
  };
}
