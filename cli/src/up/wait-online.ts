import { setTimeout as sleep } from "node:timers/promises";
import { AgentState, DesiredState, Launcher, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { listAllAgents } from "../agent-view.ts";
import type { Gateway } from "../gateway-client.ts";

const POLL_MS = 40;

/** Whether the agent is one that this host should bring online and has not. */
export function isAwaited(agent: Agent): boolean {
  if (agent.desiredState === DesiredState.STOPPED || agent.spec?.launcher === Launcher.EXTERNAL) return false;
  return agent.status?.state !== AgentState.ONLINE;
}

/**
 * Waits until every agent that should run here is online, or the deadline is over. Returns all agents as they are
 * then; whoever is not online says why in its status.
 */
export async function waitOnline(
  gateway: Gateway,
  options: { deadlineMs: number; signal: AbortSignal; onWaiting(waiting: readonly Agent[], total: number): void },
): Promise<Agent[]> {
  const { deadlineMs, signal, onWaiting } = options;
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const agents = await listAllAgents(gateway, signal);
    const waiting = agents.filter(isAwaited);
    if (waiting.length === 0 || Date.now() >= deadline) return agents;
    onWaiting(waiting, agents.length);
    await sleep(POLL_MS, undefined, { signal });
  }
}
