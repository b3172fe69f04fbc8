import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Skill } from "@openhermit/protocol/catalog/v1/skill";
import { allPages, PAGE_SIZE } from "../all-pages.ts";
import type { Gateway } from "../gateway-client.ts";

/** All MCP servers in reach, page after page. */
export async function listAllMcpServers({ catalog }: Gateway, signal?: AbortSignal): Promise<McpServer[]> {
  return allPages(
    (pageToken) => catalog.listMcpServers({ pageSize: PAGE_SIZE, pageToken }, signal ? { signal } : {}),
    ({ mcpServers }) => mcpServers,
  );
}

/** All skills in reach, page after page. */
export async function listAllSkills({ skills }: Gateway, signal?: AbortSignal): Promise<Skill[]> {
  return allPages(
    (pageToken) => skills.listSkills({ pageSize: PAGE_SIZE, pageToken }, signal ? { signal } : {}),
    (page) => page.skills,
  );
}
