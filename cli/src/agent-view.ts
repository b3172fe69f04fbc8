import { AgentState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { allPages, PAGE_SIZE } from "./all-pages.ts";
import type { Gateway } from "./gateway-client.ts";
import { enumWord } from "./output/enum-word.ts";
import type { Column } from "./output/table.ts";
import type { Terminal } from "./output/terminal.ts";
import { ageText } from "./output/time-text.ts";

const COLORS: Partial<Record<AgentState, "green" | "yellow" | "red" | "dim">> = {
  [AgentState.ONLINE]: "green",
  [AgentState.STARTING]: "yellow",
  [AgentState.STOPPING]: "yellow",
  [AgentState.UNREACHABLE]: "red",
  [AgentState.CRASHED]: "red",
  [AgentState.STOPPED]: "dim",
};

/** An agent's state as a word: `online`. A state this client does not know shows its number. */
export function stateWord(agent: Agent): string {
  return enumWord(AgentState, agent.status?.state);
}

/** Why the agent is as it is; empty when there is nothing to say. */
export function stateDetail(agent: Agent): string {
  const { rejectedReason = "", detail = "" } = agent.status ?? {};
  return rejectedReason === "" ? detail : `configuration rejected: ${rejectedReason}`;
}

/** How far the agent is with its configuration: `12/14 behind`, `rejected`; empty when all is well, or it is stopped. */
export function configurationText({ status }: Agent): string {
  const { state, appliedGeneration = 0n, desiredGeneration = 0n, rejectedReason = "" } = status ?? {};
  if (rejectedReason !== "") return "rejected";
  if (state === AgentState.STOPPED || appliedGeneration >= desiredGeneration) return "";
  return `${appliedGeneration}/${desiredGeneration} behind`;
}

/** The columns of a list of agents. */
export function agentColumns(terminal: Terminal): Column<Agent>[] {
  return [
    { title: "AGENT", text: (agent) => agent.id, paint: (_, text) => terminal.paint("bold", text) },
    {
      title: "STATE",
      text: stateWord,
      paint: (agent, text) => terminal.paint(COLORS[agent.status?.state ?? 0] ?? "reset", text),
    },
    { title: "TEAM", hideEmpty: true, text: ({ team }) => team },
    { title: "SINCE", optional: true, text: (agent) => ageText(agent.status?.stateSince) },
    {
      title: "CONFIG",
      hideEmpty: true,
      text: configurationText,
      paint: (agent, text) => terminal.paint(agent.status?.rejectedReason ? "red" : "yellow", text),
    },
    { title: "MODEL", text: ({ effectiveSpec, spec }) => (effectiveSpec ?? spec)?.model ?? "" },
    { title: "RESTARTS", optional: true, text: (agent) => String(agent.status?.restartCount ?? 0) },
    { title: "DETAIL", text: stateDetail },
  ];
}

/** All agents of the fleet, page after page. */
export async function listAllAgents(gateway: Gateway, signal?: AbortSignal): Promise<Agent[]> {
  return allPages(
    (pageToken) => gateway.fleet.listAgents({ pageSize: PAGE_SIZE, pageToken }, signal ? { signal } : {}),
    ({ agents }) => agents,
  );
}
