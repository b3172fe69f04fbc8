import { setTimeout as sleep } from "node:timers/promises";
import { AgentState, DesiredState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { stateDetail, stateWord } from "./agent-view.ts";
import type { Cli } from "./cli.ts";
import { CliError } from "./cli-error.ts";
import { eachTarget } from "./each-target.ts";
import { plainLine } from "./output/plain-text.ts";

/** How long --wait waits. */
const WAIT_MS = 60_000;
const POLL_MS = 200;

/**
 * Does the same to several agents and says what became of each; with `wait` first all are told, and then waited for.
 * Goes on after an error of one, also when it takes more than a minute; the command then ends with 1.
 */
export async function steerAgents(
  cli: Cli,
  agentIds: readonly string[],
  wait: boolean,
  steer: (agentId: string) => Promise<{ agent?: Agent | undefined }>,
): Promise<void> {
  const steered = new Map<string, Agent>();
  await eachTarget(cli, "agent", agentIds, async (agentId) => {
    const { agent } = await steer(agentId);
    if (!agent) return;
    if (wait) steered.set(agentId, agent);
    else sayState(cli, agent);
  });
  const deadline = Date.now() + WAIT_MS;
  await eachTarget(cli, "agent", [...steered.keys()], async (agentId) => {
    const agent = steered.get(agentId);
    if (agent) sayState(cli, await waitForState(cli, agent, deadline));
  });
}

function sayState(cli: Cli, agent: Agent): void {
  const detail = stateDetail(agent);
  cli.terminal.say(`agent ${agent.id}: ${stateWord(agent)}${detail === "" ? "" : ` (${plainLine(detail)})`}`);
}

async function waitForState(cli: Cli, agent: Agent, deadline: number): Promise<Agent> {
  const gateway = await cli.gateway();
  const goal = agent.desiredState === DesiredState.STOPPED ? AgentState.STOPPED : AgentState.ONLINE;
  let now = agent;
  for (;;) {
    now = (await gateway.fleet.getAgent({ agentId: agent.id })).agent ?? now;
    if (now.status?.state === goal) return now;
    if (Date.now() > deadline) {
      throw new CliError(`agent ${agent.id} is still ${stateWord(now)}`, {
        why: stateDetail(now) || undefined,
        next: `bin/hermit logs --agent ${agent.id} --type sidecar_change`,
      });
    }
    await sleep(POLL_MS);
  }
}
