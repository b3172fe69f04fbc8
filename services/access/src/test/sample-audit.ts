import type { Change } from "@openhermit/caller";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { Denial } from "../access-ports.ts";
import type { Actor } from "../principal.ts";

/** A member that does something, with a session. */
export function sampleActor(id: string, more: Partial<Actor> = {}): Actor {
  return {
    subject: { kind: SubjectKind.MEMBER, id },
    onBehalfOf: undefined,
    accessor: "",
    requestId: `request of ${id}`,
    address: "192.0.2.1",
    ...more,
  };
}

/** A change of one agent. */
export function sampleChange(targetId: string, more: Partial<Change> = {}): Change {
  return { action: "agents.update", targetType: "agent", targetId, ...more };
}

/** An attempt to read an agent that was denied. */
export function sampleDenial(targetId: string, more: Partial<Denial> = {}): Denial {
  return {
    actor: sampleActor("mallory"),
    action: "openhermit.fleet.v1.FleetService/GetAgent",
    targetType: "agent",
    targetId,
    reason: "RIGHT_MISSING",
    ...more,
  };
}
