import { AgentState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { McpServerAgentStatus } from "@openhermit/protocol/catalog/v1/catalog_service";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { listAllAgents, stateWord } from "../agent-view.ts";
import type { Gateway } from "../gateway-client.ts";

/** How a server is with an agent. `waiting`: the agent does not run, or is not there to say anything. */
export type ConnectionState = "connected" | "connecting" | "down" | "leaving" | "waiting";

/** One agent that uses an MCP server, or should no longer. */
export interface Connection {
  readonly status: McpServerAgentStatus;
  readonly state: ConnectionState;
  /** The state in a word for a person; of an agent that does not run, the agent's own: `stopped`. */
  readonly word: string;
}

/** Reads how a server is with all agents in reach; `agents` from readAgents. Throws what the gateway refuses. */
export async function readConnections(
  { catalog }: Gateway,
  mcpServerId: string,
  agents: ReadonlyMap<string, Agent>,
): Promise<Connection[]> {
  const { agents: statuses } = await catalog.getMcpServerStatus({ mcpServerId });
  return statuses.map((status) => {
    const agent = agents.get(status.agentId);
    const state = stateOf(status, agent);
    return { status, state, word: state === "waiting" && agent ? stateWord(agent) : state };
  });
}

/** The agents by their ids, to tell a server that is being connected from an agent that does not run. Empty when they may not be read. */
export async function readAgents(gateway: Gateway): Promise<Map<string, Agent>> {
  const agents = await listAllAgents(gateway).catch(() => []);
  return new Map(agents.map((agent) => [agent.id, agent]));
}

function stateOf({ enabled, state }: McpServerAgentStatus, agent: Agent | undefined): ConnectionState {
  // What an agent last said counts only while it runs.
  if (agent && agent.status?.state !== AgentState.ONLINE) return "waiting";
  if (!enabled) return "leaving";
  if (state === HealthState.OK) return "connected";
  return state === HealthState.UNSPECIFIED ? "connecting" : "down";
}
