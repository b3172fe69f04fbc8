import { didYouMean } from "@openhermit/nearest-name";
import type { CompileContext } from "./compile-context.ts";
import type { AssignmentSource } from "./schema-resources.ts";

/** Who uses a thing of the catalogue: both lists as they stand. */
export interface Assignment {
  agents: string[];
  disabledAgents: string[];
}

/** Checks that the agents exist, that the manifest says who uses the thing, and that no agent both does and does not. */
export function compileAssignment(
  title: string,
  path: readonly string[],
  { agents, disabledAgents }: AssignmentSource,
  agentIds: ReadonlySet<string>,
  { problems }: CompileContext,
): Assignment {
  if (agents === undefined && !problems.touches([...path, "agents"])) {
    const hint = 'add agents: "*" for all agents, or a list';
    problems.add(path, `${title} does not say who uses it`, hint, "key");
  }
  const users = new Set(agents);
  const check = (key: string, index: number, agent: string): void => {
    if (agentIds.has(agent) || problems.touches([...path, key, index])) return;
    const hint = (): string => didYouMean(agent, agentIds, "add it under agents:, or remove it here");
    problems.add([...path, key, index], `agent "${agent.slice(0, 80)}" does not exist`, hint);
  };
  for (const [index, agent] of (agents ?? []).entries()) if (agent !== "*") check("agents", index, agent);
  for (const [index, agent] of (disabledAgents ?? []).entries()) {
    if (agent === "*") {
      const hint = 'name agents here, or take "*" out of agents';
      problems.add([...path, "disabledAgents", index], '"*" can\'t be disabled', hint);
    } else if (users.has(agent)) {
      const hint = "remove it from one of the two";
      problems.add([...path, "disabledAgents", index], `agent "${agent.slice(0, 80)}" stands in agents too`, hint);
    } else check("disabledAgents", index, agent);
  }
  return { agents: agents ?? [], disabledAgents: disabledAgents ?? [] };
}
