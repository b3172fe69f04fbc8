import { DesiredState } from "@openhermit/protocol/fleet/v1/agent";
import type { DirectoryEntry } from "./agent-directory-store.ts";
import { observedState, type Observation } from "./agent-status.ts";
import type { AgentView } from "./fleet-ports.ts";

/** An agent as other domains see it. */
export function viewOf(entry: DirectoryEntry, observation: Observation): AgentView {
  const { state, since, detail } = observedState(entry, observation);
  return {
    agentId: entry.id,
    displayName: entry.displayName,
    desired: entry.desiredState === DesiredState.STOPPED ? "stopped" : "running",
    state,
    stateSince: since,
    detail,
    rejectedReason: observation.link.rejectedReason,
    team: entry.team,
  };
}
