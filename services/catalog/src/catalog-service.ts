import { join } from "node:path";
import type { ConnectRouter } from "@connectrpc/connect";
import { invalidArgument } from "@openhermit/errors";
import type { MigrationSet, Subscription } from "@openhermit/postgres";
import { CatalogService as CatalogRpc } from "@openhermit/protocol/catalog/v1/catalog_service";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { create } from "@bufbuild/protobuf";
import type { CatalogService, CatalogServiceOptions } from "./catalog-ports.ts";
import { applyServers, putServer, removeAgent, removeServer } from "./change-catalog.ts";
import { EVERY_AGENT, serverNotFound } from "./mcp-server.ts";
import { toMessage } from "./mcp-server-proto.ts";
import { CATALOG_CHANNEL, listServers, readCatalogs, readRevisions, readServers } from "./mcp-server-store.ts";

/** The tables of the catalogue. */
export const catalogMigrations: MigrationSet = {
  schema: "catalog",
  directory: join(import.meta.dirname, "../migrations"),
};

const DEFAULT_PAGE_SIZE = 100;

/** Makes the catalogue: MCP servers and which agents use them. */
export function createCatalogService(options: CatalogServiceOptions): CatalogService {
  const { database, log } = options;
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
    applyMcpServers: applyServers,
  };
}

function routes(router: ConnectRouter, { database, log, caller }: CatalogServiceOptions): void {
  router.service(CatalogRpc, {
    async putMcpServer({ mcpServer }, context) {
      const { stored, changed } = await putServer(database, mcpServer ?? create(McpServerSchema));
      const who = caller(context);
      if (changed) {
        const by = who.kind === "principal" ? who.id : who.kind;
        log.info({ mcp_server_id: stored.server.id, caller: by }, "mcp server changed");
      }
      return { mcpServer: toMessage(stored) };
    },

    async getMcpServer({ mcpServerId }) {
      const stored = (await readServers(database, [mcpServerId])).get(mcpServerId);
      if (stored === undefined) throw serverNotFound(mcpServerId);
      return { mcpServer: toMessage(stored) };
    },

    async listMcpServers({ pageSize, pageToken }) {
      const limit = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
      const found = await listServers(database, decodePageToken(pageToken), limit + 1);
      const page = found.slice(0, limit);
      const last = page.at(-1);
      const more = found.length > limit && last !== undefined;
      return { mcpServers: page.map(toMessage), nextPageToken: more ? encodePageToken(last.server.id) : "" };
    },

    async deleteMcpServer({ mcpServerId }, context) {
      await removeServer(database, mcpServerId);
      const who = caller(context);
      const by = who.kind === "principal" ? who.id : who.kind;
      log.info({ mcp_server_id: mcpServerId, caller: by }, "mcp server deleted");
      return {};
    },
  });
}

function encodePageToken(id: string): string {
  return Buffer.from(`after ${id}`).toString("base64url");
}

function decodePageToken(token: string): string {
  if (token === "") return "";
  const id = /^after ([a-z0-9-]{1,63})$/.exec(Buffer.from(token, "base64url").toString())?.[1];
  if (id !== undefined) return id;
  throw invalidArgument("PAGE_TOKEN_INVALID", "the page token is not one that this method returned", {
    hint: "Send next_page_token of the page before, or nothing for the first page.",
  });
}
