import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { ItemKind } from "./catalog-item.ts";
import { desiredServer, isSameServer, serverConflict, serverFields, serverNotFound } from "./mcp-server.ts";
import { deleteServers, listServers, readServers, writeServers } from "./mcp-server-store.ts";

/** MCP servers. */
export const mcpServerKind: ItemKind<McpServer> = {
  resource: "mcp-servers",
  targetType: "mcp-server",
  noun: "MCP server",
  idField: "mcp_server_id",
  desired: desiredServer,
  isSame: isSameServer,
  fieldsOf: serverFields,
  notFound: serverNotFound,
  conflict: serverConflict,
  prepare: async () => {},
  read: readServers,
  list: listServers,
  write: writeServers,
  remove: deleteServers,
};
