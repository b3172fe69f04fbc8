/** The channel on which changes of the fleet reach every gateway. */
export const FLEET_CHANNEL = "openhermit_fleet";

/** A change, as announced. */
export type FleetChange =
  /** An agent was created, changed or deleted: its snapshot may be another. */
  | { kind: "agent"; agentId: string }
  /** An agent should run, stop or restart; its snapshot is the same. */
  | { kind: "run"; agentId: string }
  /** An agent that waits for its next start should start now. */
  | { kind: "start"; agentId: string }
  /** A provider changed. */
  | { kind: "providers" }
  /** The defaults changed: each snapshot, and who starts which sidecar, may be another. */
  | { kind: "defaults" };

/** The payload of a change. */
export function encodeChange(change: FleetChange): string {
  return "agentId" in change ? `${change.kind} ${change.agentId}` : change.kind;
}

/** Reads a payload; undefined for one of a newer gateway. */
export function decodeChange(payload: string): FleetChange | undefined {
  const [kind, agentId] = payload.split(" ");
  if (kind === "providers" || kind === "defaults") return { kind };
  if (agentId === undefined || (kind !== "agent" && kind !== "run" && kind !== "start")) return undefined;
  return { kind, agentId };
}
