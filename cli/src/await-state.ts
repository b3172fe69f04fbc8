import { setTimeout as sleep } from "node:timers/promises";
import { AgentState, DesiredState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { stateDetail, stateWord } from "./agent-view.ts";
import type { Cli } from "./cli.ts";
import { CliError } from "./cli-error.ts";
import { plainLine } from "./output/plain-text.ts";

/** How long --wait waits. */
const WAIT_MS = 60_000;
const POLL_MS = 200;

/** Says what became of an agent, and with `wait` first waits until it is there. Throws CliError after a minute. */
export async function sayState(cli: Cli, agent: Agent | undefined, wait: boolean): Promise<void> {
  if (!agent) return;
  const reached = wait ? await waitForState(cli, agent) : agent;
  const detail = stateDetail(reached);
  cli.terminal.say(`agent ${reached.id}: ${stateWord(reached)}${detail === "" ? "" : ` (${plainLine(detail)})`}`);
}

async function waitForState(cli: Cli, agent: Agent): Promise<Agent> {
  const gateway = await cli.gateway();
  const goal = agent.desiredState === DesiredState.STOPPED ? AgentState.STOPPED : AgentState.ONLINE;
  const deadline = Date.now() + WAIT_MS;
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
