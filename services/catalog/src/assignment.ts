import { invalidArgument } from "@openhermit/errors";

/** The assignment that means every agent, also every future one. */
export const EVERY_AGENT = "*";

/** The most agents that can be named one by one. */
export const MAX_ASSIGNED = 1000;

/** Which agents have a thing of the catalogue, as rows: an agent's own row counts for more than that of `*`. */
export interface Assignment {
  /** The rows that say yes: agents, and `*`. In order, each once. */
  readonly agents: readonly string[];
  /** The rows that say no: agents that do not use it although it may be assigned to `*`. In order, each once. */
  readonly disabledAgents: readonly string[];
}

/** The assignment as it is stored. Errors: ASSIGNMENT_CONTRADICTORY for an agent in both lists. */
export function desiredAssignment(id: string, { agents, disabledAgents }: Assignment): Assignment {
  const disabled = new Set(disabledAgents);
  const both = agents.find((agentId) => disabled.has(agentId));
  if (both !== undefined) {
    throw invalidArgument("ASSIGNMENT_CONTRADICTORY", `"${id}" is to be both used and not used by agent "${both}"`, {
      hint: "Name the agent in agents or in disabled_agents, not in both.",
      fields: { id, agent_id: both },
    });
  }
  return { agents: ordered(agents), disabledAgents: ordered(disabledAgents) };
}

/** Which agents use the thing; nobody uses what is not there. */
export function usersOf(assignment: Assignment | undefined): (agentId: string) => boolean {
  const enabled = new Set(assignment?.agents);
  const disabled = new Set(assignment?.disabledAgents);
  const isEverybodys = enabled.has(EVERY_AGENT);
  return (agentId) => enabled.has(agentId) || (isEverybodys && !disabled.has(agentId));
}

/** The agents that the assignment names, whichever way; `*` too. */
export function namedTargets(assignment: Assignment | undefined): string[] {
  return assignment === undefined ? [] : [...assignment.agents, ...assignment.disabledAgents];
}

/** The assignment when the thing is given to an agent, or to `*`: what others said stays. */
export function enabledFor({ agents, disabledAgents }: Assignment, target: string): Assignment {
  return { agents: ordered([...agents, target]), disabledAgents: disabledAgents.filter((id) => id !== target) };
}

/**
 * The assignment when the thing is taken from an agent, or from `*`. An agent that has it only through `*` gets a row that
 * says no; such a row stays when `*` goes.
 */
export function disabledFor({ agents, disabledAgents }: Assignment, target: string): Assignment {
  const isNoted = target !== EVERY_AGENT && agents.includes(EVERY_AGENT);
  return {
    agents: agents.filter((id) => id !== target),
    disabledAgents: isNoted ? ordered([...disabledAgents, target]) : disabledAgents,
  };
}

/** Whether two assignments are made of the same rows. */
export function isSameAssignment(before: Assignment, after: Assignment): boolean {
  const rows = (assignment: Assignment): string => JSON.stringify([assignment.agents, assignment.disabledAgents]);
  return rows(before) === rows(after);
}

/**
 * The targets (agents, or `*`) whose catalogue changes when `before` becomes `after`, in order. `isSame`: the thing itself
 * stays, and only who gains or loses it is concerned. `*` stands for all.
 */
export function changedTargets(
  before: Assignment | undefined,
  after: Assignment | undefined,
  isSame: boolean,
): string[] {
  const concerns = (was: boolean, is: boolean): boolean => (isSame ? was !== is : was || is);
  const isEverybodys = (one: Assignment | undefined): boolean => one?.agents.includes(EVERY_AGENT) === true;
  if (concerns(isEverybodys(before), isEverybodys(after))) return [EVERY_AGENT];
  const [used, uses] = [usersOf(before), usersOf(after)];
  const named = ordered([...namedTargets(before), ...namedTargets(after)]);
  return named.filter((id) => id !== EVERY_AGENT && concerns(used(id), uses(id)));
}

function ordered(ids: readonly string[]): string[] {
  return [...new Set(ids)].toSorted();
}
