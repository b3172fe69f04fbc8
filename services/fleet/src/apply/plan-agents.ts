import type { Change } from "@openhermit/caller";
import { DesiredState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { Queryable } from "@openhermit/postgres";
import { agentDifferences } from "../agent-difference.ts";
import { readRetired, readTeams } from "../agent-directory-store.ts";
import { creationProblem, moveProblem, reaches, type ChangeAuthor } from "../agent-owner.ts";
import { lockAgents, readAgents, type AgentWrite } from "../agent-store.ts";
import { desiredAgent, sameAgent, sameSnapshot, type DesiredAgent, type StoredAgent } from "../agent.ts";
import { agentChange, inheritProblem } from "../change-agent.ts";
import type { ApplyOptions, ResourceChange } from "../fleet-ports.ts";
import { resourceChange } from "./resource-change.ts";

/** What is to be done to the agents. */
export interface AgentsPlan {
  readonly changes: ResourceChange[];
  readonly inserts: DesiredAgent[];
  readonly updates: AgentWrite[];
  readonly deletions: string[];
  readonly records: Change[];
  /** All agents that the manifest names, as they will be. */
  readonly wanted: readonly DesiredAgent[];
}

/**
 * Works out what is to be done to the agents: three statements, or four with a prune. Unless it is a dry run the agents are
 * locked.
 */
export async function planAgents(
  tx: Queryable,
  messages: readonly Agent[],
  options: ApplyOptions,
  isTeam: ChangeAuthor["isTeam"],
): Promise<AgentsPlan> {
  const { dryRun, prune, caller, mayWrite } = options;
  const author = { caller, record: options.record, isTeam };
  const named = new Set(messages.map(({ id }) => id));
  const teams = prune ? await readTeams(tx) : new Map<string, string>();
  const surplus = [...teams].filter(([id, team]) => !named.has(id) && reaches(caller, { id, team })).map(([id]) => id);
  const existing = await (dryRun ? readAgents : lockAgents)(tx, [...named, ...surplus]);
  const wanted = messages.map((message) => wantedAgent(message, existing.get(message.id)));
  const fresh = wanted.filter(({ id }) => !existing.has(id)).map(({ id }) => id);
  const retired = await readRetired(tx, fresh);

  const plan = {
    changes: [] as ResourceChange[],
    inserts: [] as DesiredAgent[],
    updates: [] as AgentWrite[],
    deletions: [] as string[],
    records: [] as Change[],
    wanted,
  };
  for (const agent of wanted) {
    const { id } = agent;
    const before = existing.get(id);
    const needed = before === undefined ? creation(agent, retired.get(id), author) : change(before, agent, author);
    const action = needed === "none" || mayWrite("agents", id) ? needed : "refused";
    if (action === "refused") {
      plan.changes.push(resourceChange(id, action));
    } else if (before === undefined) {
      plan.changes.push(resourceChange(id, action, agentDifferences(undefined, agent)));
      plan.inserts.push(agent);
      plan.records.push(agentChange("create", undefined, agent));
    } else if (action === "none") {
      plan.changes.push(resourceChange(id, action, [], before.version));
    } else {
      plan.changes.push(resourceChange(id, action, agentDifferences(before, agent), before.version));
      plan.updates.push({ agent, newSnapshot: !sameSnapshot(before, agent) });
      plan.records.push(agentChange("update", before, agent));
    }
  }
  for (const id of surplus) {
    const before = existing.get(id);
    // Deleted by somebody else meanwhile, or moved out of reach.
    if (before === undefined || !reaches(caller, before)) continue;
    if (!mayWrite("agents", id)) {
      plan.changes.push(resourceChange(id, "refused"));
      continue;
    }
    plan.changes.push(resourceChange(id, "delete", agentDifferences(before, undefined), before.version));
    plan.deletions.push(id);
    plan.records.push(agentChange("delete", before, undefined));
  }
  return plan;
}

function wantedAgent(message: Agent, existing: StoredAgent | undefined): DesiredAgent {
  const isOpen = message.desiredState === DesiredState.UNSPECIFIED;
  return desiredAgent({
    ...message,
    desiredState: isOpen ? (existing?.desiredState ?? DesiredState.RUNNING) : message.desiredState,
    team: message.team === "" ? (existing?.team ?? "") : message.team,
  });
}

/** `retired` is the team of a deleted agent of the id. */
function creation(agent: DesiredAgent, retired: string | undefined, author: ChangeAuthor): "create" | "refused" {
  if (creationProblem(author, agent) !== undefined) return "refused";
  if (retired === undefined) return "create";
  return inheritProblem(author, { id: agent.id, team: retired }) === undefined ? "create" : "refused";
}

function change(before: StoredAgent, agent: DesiredAgent, author: ChangeAuthor): "update" | "none" | "refused" {
  if (!reaches(author.caller, before)) return "refused";
  if (sameAgent(before, agent)) return "none";
  return moveProblem(author, before, agent) === undefined ? "update" : "refused";
}
