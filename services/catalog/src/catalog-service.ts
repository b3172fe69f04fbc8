import { join } from "node:path";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { callerName, reachOf } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import type { MigrationSet, Subscription } from "@openhermit/postgres";
import { CatalogService as CatalogRpc } from "@openhermit/protocol/catalog/v1/catalog_service";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { create } from "@bufbuild/protobuf";
import type { CatalogService, CatalogServiceOptions, ChangeAuthor } from "./catalog-ports.ts";
import { applyServers, putServer, removeAgent, removeServer } from "./change-catalog.ts";
import { listVisible } from "./list-visible.ts";
import { EVERY_AGENT, serverNotFound, withoutSecrets, type StoredMcpServer } from "./mcp-server.ts";
import { toMessage } from "./mcp-server-proto.ts";
import { CATALOG_CHANNEL, readCatalogs, readRevisions, readServers } from "./mcp-server-store.ts";
import { isVisible, mayAssign, NOTHING_KNOWN } from "./server-reach.ts";

/** The tables of the catalogue. */
export const catalogMigrations: MigrationSet = {
  schema: "catalog",
  directory: join(import.meta.dirname, "../migrations"),
};

const SERVER_ID = /^[a-z0-9-]{1,63}$/;

/** Makes the catalogue: MCP servers and which agents use them. */
export function createCatalogService(options: CatalogServiceOptions): CatalogService {
  const { database, log, ports } = options;
  const listeners = new Set<(agentIds: readonly string[] | "all") => void>();
  const announce = (agentIds: readonly string[] | "all"): void => {
    for (const listener of listeners) listener(agentIds);
  };
  let subscription: Subscription | undefined;

  return {
    routes: (router) => routes(router, options),
    start() {
      subscription ??= database.listen(
        CATALOG_CHANNEL,
        (target) => announce(target === EVERY_AGENT ? "all" : [target]),
        () => announce("all"),
      );
    },
    async close() {
      listeners.clear();
      subscription?.close();
    },
    mcpServersFor: (agentIds) => readCatalogs(database, agentIds),
    revisionsFor: (agentIds) => readRevisions(database, agentIds),
    onChanged(callback) {
      listeners.add(callback);
      return () => void listeners.delete(callback);
    },
    async forgetAgent(agentId) {
      await removeAgent(database, agentId);
      log.info({ agent_id: agentId }, "agent removed from catalogue");
    },
    applyMcpServers: (tx, servers, apply) => applyServers(tx, servers, apply, ports),
  };
}

function routes(router: ConnectRouter, { database, log, caller, audit, ports }: CatalogServiceOptions): void {
  const authorOf = (context: HandlerContext): ChangeAuthor => ({ caller: caller(context), record: audit(context) });

  /** A server as the caller may see it. Its secrets are for whoever may change it. */
  const show = (stored: StoredMcpServer, context: HandlerContext): McpServer => {
    const reach = reachOf(caller(context));
    const { id, agents } = stored.server;
    const isOpen = ports.mayWrite(context, id) && mayAssign(reach, agents, NOTHING_KNOWN);
    return toMessage(isOpen ? stored : { ...stored, server: withoutSecrets(stored.server) }, reach);
  };

  router.service(CatalogRpc, {
    async putMcpServer({ mcpServer }, context) {
      const author = authorOf(context);
      const wanted = mcpServer ?? create(McpServerSchema);
      const { stored, changed } = await putServer(database, wanted, author, ports);
      if (changed) {
        log.info({ mcp_server_id: stored.server.id, caller: callerName(author.caller) }, "mcp server changed");
      }
      return { mcpServer: show(stored, context) };
    },

    async getMcpServer({ mcpServerId }, context) {
      const reach = reachOf(caller(context));
      const stored = (await readServers(database, [mcpServerId])).get(mcpServerId);
      if (stored === undefined || !isVisible(reach, stored.server)) throw serverNotFound(mcpServerId);
      return { mcpServer: show(stored, context) };
    },

    async listMcpServers({ pageSize, pageToken }, context) {
      const reach = reachOf(caller(context));
      const size = pageSizeOf(pageSize);
      const [afterId = ""] = decodePageToken(pageToken, [SERVER_ID]) ?? [];
      const found = await listVisible(database, reach, afterId, size + 1);
      const { page, nextPageToken } = cutPage(found, size, ({ server }) => [server.id]);
      return { mcpServers: page.map((stored) => show(stored, context)), nextPageToken };
    },

    async deleteMcpServer({ mcpServerId }, context) {
      const author = authorOf(context);
      await removeServer(database, mcpServerId, author, ports);
      log.info({ mcp_server_id: mcpServerId, caller: callerName(author.caller) }, "mcp server deleted");
      return {};
    },
  });
}
