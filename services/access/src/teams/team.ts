import { alreadyExists, failedPrecondition, notFound, type MeshError } from "@openhermit/errors";
import type { SubjectRef } from "../principal.ts";

/** A team as stored. */
export interface StoredTeam {
  readonly id: string;
  readonly displayName: string;
  /** Ordered by kind and id. */
  readonly members: readonly SubjectRef[];
  readonly createTime: Date;
}

/** The error of a team that does not exist, or that the caller is not in. */
export function teamNotFound(teamId: string): MeshError {
  return notFound("TEAM_NOT_FOUND", `team "${teamId}" does not exist`, {
    hint: "hermit teams list shows those that you may see.",
    fields: { team_id: teamId },
  });
}

/** The error of an id in use. */
export function teamExists(teamId: string): MeshError {
  return alreadyExists("TEAM_EXISTS", `team "${teamId}" exists already`, { fields: { team_id: teamId } });
}

/** The refusal to remove a team that owns agents: they would become nobody's, or everybody's. */
export function teamOwnsAgents(teamId: string, count: number): MeshError {
  return failedPrecondition(
    "TEAM_OWNS_AGENTS",
    `team "${teamId}" owns ${count === 1 ? "1 agent" : `${count} agents`}`,
    { hint: "Give them to another team, or to nobody, or delete them first.", fields: { team_id: teamId } },
  );
}
