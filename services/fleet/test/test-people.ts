import type { Caller, Reach } from "@openhermit/caller";
import type { FleetService } from "../src/index.ts";

/** Somebody who calls in a test. */
export interface Person {
  /** Reaches all, and owns for every team. */
  readonly isAdmin?: boolean;
  readonly teams?: readonly string[];
  /** Agents that the person holds a grant on. */
  readonly grants?: readonly string[];
  /** May only read what no team owns. */
  readonly isViewer?: boolean;
}

/** Everything, for who is bound by nothing. */
export const EVERYTHING: Reach = { all: true, has: () => true, ids: () => [] };

/** The person as a caller of one gateway, which knows what that gateway's memory knows. */
export function callerOf(
  name: string,
  { isAdmin = false, teams = [], grants = [], isViewer = false }: Person,
  fleet: () => Pick<FleetService, "teamOfAgent" | "ownedAgentIds">,
): Caller {
  const has = (id: string, owner = fleet().teamOfAgent(id) ?? ""): boolean =>
    grants.includes(id) || (!isViewer && (owner === "" || teams.includes(owner)));
  const reach: Reach = {
    all: false,
    has,
    ids: () =>
      fleet()
        .ownedAgentIds()
        .filter((id) => has(id)),
  };
  return {
    kind: "principal",
    name: `member:${name}`,
    agents: isAdmin ? EVERYTHING : reach,
    mayOwnFor: (teamId) => isAdmin || teamId === "" || teams.includes(teamId),
  };
}
