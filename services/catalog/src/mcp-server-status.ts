import { create } from "@bufbuild/protobuf";
import type { Reach } from "@openhermit/caller";
import { McpServerAgentStatusSchema, type McpServerAgentStatus } from "@openhermit/protocol/catalog/v1/catalog_service";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { usersOf } from "./assignment.ts";
import type { CatalogPorts } from "./catalog-ports.ts";

/**
 * How a server is with each agent in reach that uses it, or whose sidecar still speaks of it although it should not; in the
 * order of the agents' ids. From memory.
 */
export function serverStatus(
  server: McpServer,
  reach: Reach,
  ports: Pick<CatalogPorts, "agentIds" | "componentReports">,
): McpServerAgentStatus[] {
  const uses = usersOf(server);
  const own = new Set(server.agents);
  const reports = ports.componentReports(`mcp:${server.id}`);
  return ports
    .agentIds()
    .filter((agentId) => (uses(agentId) || reports.has(agentId)) && reach.has(agentId))
    .map((agentId) => {
      const { state, since, toolCount, lastError, lastErrorTime } = reports.get(agentId) ?? {};
      const enabled = uses(agentId);
      return create(McpServerAgentStatusSchema, {
        agentId,
        enabled,
        byWildcard: enabled && !own.has(agentId),
        ...(state !== undefined && { state }),
        ...(since !== undefined && { since }),
        ...(toolCount !== undefined && { toolCount }),
        ...(lastError !== undefined && { lastError }),
        ...(lastErrorTime !== undefined && { lastErrorTime }),
      });
    });
}
