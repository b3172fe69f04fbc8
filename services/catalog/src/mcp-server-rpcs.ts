import { create, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { callerName, reachOf } from "@openhermit/caller";
import { cutPage, decodePageToken, pageSizeOf } from "@openhermit/paging";
import { CatalogService as CatalogRpc } from "@openhermit/protocol/catalog/v1/catalog_service";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { mayAssign } from "./assignment-reach.ts";
import type { Stored } from "./catalog-item.ts";
import type { CatalogServiceOptions, ChangeAuthor } from "./catalog-ports.ts";
import { putItem, removeItem, switchItem } from "./change-catalog.ts";
import { toMessage } from "./item-message.ts";
import { listVisible } from "./list-visible.ts";
import { withoutSecrets } from "./mcp-server.ts";
import { mcpServerKind } from "./mcp-server-kind.ts";
import { serverStatus } from "./mcp-server-status.ts";
import { readVisible } from "./read-visible.ts";

const SERVER_ID = /^[a-z0-9-]{1,63}$/;

/** Serves openhermit.catalog.v1.CatalogService. */
export function mcpServerRpcs(router: ConnectRouter, options: CatalogServiceOptions): void {
  const { database, log, caller, audit, ports } = options;
  const authorOf = (context: HandlerContext): ChangeAuthor => ({ caller: caller(context), record: audit(context) });

  /** A server as the caller may see it. Its secrets are for whoever may change it. */
  const show = (stored: Stored<McpServer>, context: HandlerContext): McpServer => {
    const reach = reachOf(caller(context));
    const { item } = stored;
    const isOpen = ports.mayWrite(context, "mcp-servers", item.id) && mayAssign(reach, [item]);
    return toMessage(isOpen ? stored : { ...stored, item: withoutSecrets(item) }, reach);
  };

  const read = (id: string, context: HandlerContext): Promise<Stored<McpServer>> =>
    readVisible(database, mcpServerKind, reachOf(caller(context)), id);

  const switchFor = async (
    { mcpServerId, agentId }: { mcpServerId: string; agentId: string },
    enabled: boolean,
    context: HandlerContext,
  ): Promise<{ mcpServer: McpServer; changed: boolean }> => {
    const author = authorOf(context);
    const wanted = { id: mcpServerId, target: agentId, enabled };
    const { stored, changed } = await switchItem(database, mcpServerKind, wanted, author, ports);
    if (changed) {
      const fields = { mcp_server_id: mcpServerId, agent_id: agentId, caller: callerName(author.caller) };
      log.info({ ...fields, enabled }, "mcp server assigned anew");
    }
    return { mcpServer: show(stored, context), changed };
  };

  router.service(CatalogRpc, {
    async putMcpServer({ mcpServer }, context) {
      const author = authorOf(context);
      const wanted = mcpServer ?? create(McpServerSchema);
      const { stored, changed } = await putItem(database, mcpServerKind, wanted, author, ports);
      if (changed) {
        log.info({ mcp_server_id: stored.item.id, caller: callerName(author.caller) }, "mcp server changed");
      }
      return { mcpServer: show(stored, context) };
    },

    async getMcpServer({ mcpServerId }, context) {
      return { mcpServer: show(await read(mcpServerId, context), context) };
    },

    async listMcpServers({ pageSize, pageToken }, context) {
      const size = pageSizeOf(pageSize);
      const [afterId = ""] = decodePageToken(pageToken, [SERVER_ID]) ?? [];
      const part = { afterId, limit: size + 1 };
      const found = await listVisible(database, mcpServerKind, reachOf(caller(context)), part);
      const { page, nextPageToken } = cutPage(
        found.map((stored) => show(stored, context)),
        size,
        ({ id }) => [id],
        (server) => toBinary(McpServerSchema, server).length,
      );
      return { mcpServers: page, nextPageToken };
    },

    enableMcpServer: (request, context) => switchFor(request, true, context),

    disableMcpServer: (request, context) => switchFor(request, false, context),

    async getMcpServerStatus({ mcpServerId }, context) {
      const { item } = await read(mcpServerId, context);
      return { agents: serverStatus(item, reachOf(caller(context)), ports) };
    },

    async deleteMcpServer({ mcpServerId }, context) {
      const author = authorOf(context);
      await removeItem(database, mcpServerKind, mcpServerId, author, ports);
      log.info({ mcp_server_id: mcpServerId, caller: callerName(author.caller) }, "mcp server deleted");
      return {};
    },
  });
}
