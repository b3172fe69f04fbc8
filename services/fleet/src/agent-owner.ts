import { agentNotFound, reachOf, type Caller, type RecordChanges } from "@openhermit/caller";
import { notFound, permissionDenied, type MeshError } from "@openhermit/errors";

/** Who asks for a change of the fleet, what is asked about them, and where the change is recorded. */
export interface ChangeAuthor {
  readonly caller: Caller;
  /** Writes into the audit trail, within the transaction of the change. */
  readonly record: RecordChanges;
  /** Whether a team exists. */
  isTeam(teamId: string): boolean;
}

/** An agent and the team that owns it; empty: nobody. */
export interface OwnedAgent {
  readonly id: string;
  readonly team: string;
}

/** Whether the caller may see and change the agent, as far as teams, grants and scopes go. */
export function reaches(caller: Caller, { id, team }: OwnedAgent): boolean {
  return reachOf(caller).has(id, team);
}

/** Throws the error of a missing agent unless the agent is in reach. */
export function checkReach(caller: Caller, agent: OwnedAgent): void {
  if (!reaches(caller, agent)) throw agentNotFound(agent.id);
}

/** Why the caller may not add the agent; undefined if it may. */
export function creationProblem(author: ChangeAuthor, agent: OwnedAgent): MeshError | undefined {
  const problem = ownerProblem(author, agent.id, [agent.team]);
  if (problem !== undefined || reaches(author.caller, agent)) return problem;
  return permissionDenied("RIGHT_MISSING", `adding agent "${agent.id}" needs the right agents:${agent.id}:write`, {
    hint: "Ask an admin for a role, a team or a token that has it.",
    fields: { agent_id: agent.id, right: `agents:${agent.id}:write` },
  });
}

/** Why the caller may not give the agent to another team; undefined if it may, or the team stays. */
export function moveProblem(author: ChangeAuthor, before: OwnedAgent, after: OwnedAgent): MeshError | undefined {
  if (before.team === after.team) return undefined;
  // Whoever gives everybody's agent to one team takes it from all the others.
  if (before.team === "" && !reachOf(author.caller).all) {
    return permissionDenied("TEAM_NOT_YOURS", `agent "${after.id}" is everybody's: only admins give it to a team`, {
      hint: "Ask an admin, or make an agent for the team.",
      fields: { agent_id: after.id, team: after.team },
    });
  }
  return ownerProblem(author, after.id, [before.team, after.team]);
}

/**
 * Why the caller may not have the agent owned by each of the teams; undefined if it may. Who may not is not told
 * whether the team exists.
 */
export function ownerProblem(
  { caller, isTeam }: ChangeAuthor,
  agentId: string,
  teams: readonly string[],
): MeshError | undefined {
  for (const team of teams) {
    const fields = { agent_id: agentId, team };
    if (caller.kind !== "principal" || !caller.mayOwnFor(team)) {
      return permissionDenied("TEAM_NOT_YOURS", `only admins and members of team "${team}" may do this`, {
        hint: "Ask an admin, or somebody of the team.",
        fields,
      });
    }
  }
  const after = teams.at(-1) ?? "";
  if (after === "" || isTeam(after)) return undefined;
  return notFound("TEAM_NOT_FOUND", `team "${after}" does not exist`, {
    hint: "List the teams for their ids, or create it.",
    fields: { agent_id: agentId, team: after },
  });
}
