import type { Reach } from "@openhermit/caller";
import { permissionDenied, type MeshError } from "@openhermit/errors";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { EVERY_AGENT } from "./mcp-server.ts";

/** The teams of agents, as far as they are known better than the caller's reach knows them. */
export type Owners = ReadonlyMap<string, string>;

/** Nothing better is known than the reach knows. */
export const NOTHING_KNOWN: Owners = new Map();

/** Whether one assignment may be seen: `*` by everybody. */
function sees(reach: Reach, agentId: string, owners: Owners): boolean {
  return agentId === EVERY_AGENT || reach.has(agentId, owners.get(agentId));
}

/** Whether the server may be seen: it is every agent's, nobody's, or used by an agent in reach. */
export function isVisible(reach: Reach, { agents }: McpServer, owners: Owners = NOTHING_KNOWN): boolean {
  return agents.length === 0 || agents.some((agentId) => sees(reach, agentId, owners));
}

/** Whether all that the server says may be seen, also which agents use it. */
export function isWholeVisible(reach: Reach, { agents }: McpServer, owners: Owners): boolean {
  return agents.every((agentId) => sees(reach, agentId, owners));
}

/** The server as the caller may see it: which other agents use it is left out. */
export function visibleServer(reach: Reach, server: McpServer): McpServer {
  if (reach.all) return server;
  return { ...server, agents: server.agents.filter((agentId) => sees(reach, agentId, NOTHING_KNOWN)) };
}

/** Whether the caller may change what all these assignments mean: each agent is in reach, and for `*` all there are. */
export function mayAssign(reach: Reach, agents: readonly string[], owners: Owners): boolean {
  return agents.every((id) => (id === EVERY_AGENT ? reach.all : reach.has(id, owners.get(id))));
}

/** The error for a server that may be seen and not changed. */
export function assignmentRefused(id: string): MeshError {
  return permissionDenied(
    "RIGHT_MISSING",
    `changing MCP server "${id}" needs the right to change every agent that uses it`,
    {
      hint: "Ask an admin, or put a server with another id for your own agents.",
      fields: { mcp_server_id: id, right: `mcp-servers:${id}:write` },
    },
  );
}
