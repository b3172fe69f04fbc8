import { setTimeout as sleep } from "node:timers/promises";
import { AgentState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { listAllAgents, stateDetail, stateWord } from "../agent-view.ts";
import type { Gateway } from "../gateway-client.ts";
import { plainLine } from "../output/plain-text.ts";

const PERIOD_MS = 1000;

/**
 * Tells of agents that come, go or change their state, until the signal. Looks once a second: a state that lasts less
 * is not notable. A gateway that is away is told by whoever runs it, so a failed look is only repeated.
 */
export async function watchAgents(
  gateway: Gateway,
  options: { known: readonly Agent[]; signal: AbortSignal; tell(line: string): void },
): Promise<void> {
  const { signal, tell } = options;
  let before = new Map(options.known.map((agent) => [agent.id, agent]));
  while (!signal.aborted) {
    await sleep(PERIOD_MS, undefined, { signal }).catch(() => undefined);
    const agents = await listAllAgents(gateway, signal).catch(() => undefined);
    if (!agents) continue;
    const now = new Map(agents.map((agent) => [agent.id, agent]));
    for (const agent of agents) {
      const line = changeOf(before.get(agent.id), agent);
      if (line !== undefined) tell(line);
    }
    for (const id of before.keys()) if (!now.has(id)) tell(`agent ${id} was deleted`);
    before = now;
  }
}

function changeOf(before: Agent | undefined, agent: Agent): string | undefined {
  const restarts = (agent.status?.restartCount ?? 0) - (before?.status?.restartCount ?? 0);
  const state = stateWord(agent);
  if (before && stateWord(before) === state && stateDetail(before) === stateDetail(agent) && restarts <= 0)
    return undefined;
  const detail = stateDetail(agent);
  const restarted = before && restarts > 0 && agent.status?.state === AgentState.ONLINE ? " again after a restart" : "";
  return `agent ${agent.id} is ${state}${restarted}${detail === "" ? "" : `: ${plainLine(detail)}`}`;
}
