import type { Gateway } from "../gateway-client.ts";
import type { Assigned } from "./agent-target.ts";

/** What a change of an assignment answers with. */
interface Changed {
  item: Assigned | undefined;
  /** False when it was so already. */
  changed: boolean;
}

/** A kind of thing that agents use: MCP servers, or skills. */
export interface CatalogKind {
  readonly noun: string;
  /** The verb of the command line. */
  readonly verb: "mcp" | "skills";
  enable(gateway: Gateway, id: string, agentId: string): Promise<Changed>;
  disable(gateway: Gateway, id: string, agentId: string): Promise<Changed>;
}

/** MCP servers. */
export const mcpServers: CatalogKind = {
  noun: "MCP server",
  verb: "mcp",
  enable: async ({ catalog }, mcpServerId, agentId) => {
    const { mcpServer, changed } = await catalog.enableMcpServer({ mcpServerId, agentId });
    return { item: mcpServer, changed };
  },
  disable: async ({ catalog }, mcpServerId, agentId) => {
    const { mcpServer, changed } = await catalog.disableMcpServer({ mcpServerId, agentId });
    return { item: mcpServer, changed };
  },
};

/** Skills. */
export const skills: CatalogKind = {
  noun: "skill",
  verb: "skills",
  enable: async (gateway, skillId, agentId) => {
    const { skill, changed } = await gateway.skills.enableSkill({ skillId, agentId });
    return { item: skill, changed };
  },
  disable: async (gateway, skillId, agentId) => {
    const { skill, changed } = await gateway.skills.disableSkill({ skillId, agentId });
    return { item: skill, changed };
  },
};
