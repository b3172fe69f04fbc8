import { InvalidArgumentError, Option } from "commander";
import { isAgentId } from "@openhermit/ids";
import { listed } from "../listed.ts";

/** Every agent, also every future one. */
export const EVERY_AGENT = "*";

/** The option `--agent`, which may be repeated, for agents and `*`. */
export function agentTargetOption(description: string): Option {
  return new Option("--agent <id|*>", description).argParser(listed(parseTarget));
}

function parseTarget(text: string): string {
  if (text === EVERY_AGENT || isAgentId(text)) return text;
  // A shell puts the names of files where a bare * stands.
  throw new InvalidArgumentError("It must be an agent's id; every agent is '*', in quotes.");
}

/** Which agents use something: those named, and of `*` all but some. */
export interface Assigned {
  readonly agents: readonly string[];
  readonly disabledAgents: readonly string[];
}

/** Who uses it, in a cell: `*`, `* except two`, `one, three`, `-`. */
export function assignedText({ agents, disabledAgents }: Assigned): string {
  if (!agents.includes(EVERY_AGENT)) return agents.length === 0 ? "-" : agents.join(", ");
  return disabledAgents.length === 0 ? EVERY_AGENT : `${EVERY_AGENT} except ${disabledAgents.join(", ")}`;
}

/**
 * Who uses it, in words: `every agent, also future ones`, `every agent except two`, `one, three`, `no agent`. Of those that
 * keep it without `*`: `every agent, also future ones; one also by itself`.
 */
export function usersText(assigned: Assigned): string {
  const text = assignedText(assigned);
  if (!assigned.agents.includes(EVERY_AGENT)) return text === "-" ? "no agent" : text;
  const all = text === EVERY_AGENT ? "every agent, also future ones" : text.replace(/^\*/, "every agent");
  const own = assigned.agents.filter((agent) => agent !== EVERY_AGENT);
  return own.length === 0 ? all : `${all}; ${own.join(", ")} also by ${own.length === 1 ? "itself" : "themselves"}`;
}

/** The agents that a change for these targets concerns; empty: all. */
export const concernedBy = (targets: readonly string[]): readonly string[] =>
  targets.includes(EVERY_AGENT) ? [] : targets;
