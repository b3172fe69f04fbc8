import { invalidArgument, permissionDenied, type MeshError } from "@openhermit/errors";
import type { OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import type { SidecarLink } from "./sidecar-link.ts";

/** Whether a turn in this state has ended. */
export function isEnd(state: TurnState): boolean {
  return state >= TurnState.SUCCEEDED && state <= TurnState.INTERRUPTED;
}

/**
 * Checks that a sidecar may say this, and stamps its id on its events. Undefined when it may. A sidecar speaks for the agents of its
 * credential and writes about turns it was given, whatever the entry claims.
 */
export function checkEntry(entry: OutboxEntry, link: SidecarLink): MeshError | undefined {
  const { body } = entry;
  switch (body.case) {
    case "event":
      if (!link.hosted.has(body.value.agentId)) return notHosted(link.sidecarId, body.value.agentId);
      body.value.sidecarId = link.sidecarId;
      return undefined;
    case "transcriptEntry":
      return link.turns.has(body.value.turnId) ? undefined : notOffered(link.sidecarId, body.value.turnId);
    case "turnChange":
      if (!link.turns.has(body.value.turnId)) return notOffered(link.sidecarId, body.value.turnId);
      if (body.value.state === TurnState.RUNNING || isEnd(body.value.state)) return undefined;
      return entryInvalid(entry, `state ${body.value.state} is not one a sidecar may set`);
    default:
      return entryInvalid(entry, "it says nothing this gateway knows");
  }
}

/** The reason of {@link checkEntry} after which a new Hello may put things right. */
export const TURN_NOT_OFFERED = "TURN_NOT_OFFERED";

function notHosted(sidecarId: string, agentId: string): MeshError {
  return permissionDenied("AGENT_NOT_HOSTED", `sidecar "${sidecarId}" does not host agent "${agentId}"`, {
    hint: "A sidecar speaks only for the agents of its join token.",
    fields: { sidecar_id: sidecarId, agent_id: agentId },
  });
}

function notOffered(sidecarId: string, turnId: string): MeshError {
  return invalidArgument(TURN_NOT_OFFERED, `turn "${turnId}" was not offered to sidecar "${sidecarId}"`, {
    hint: "Attach again with the turns of the ledger in Hello.",
    fields: { sidecar_id: sidecarId, turn_id: turnId },
  });
}

function entryInvalid(entry: OutboxEntry, why: string): MeshError {
  return invalidArgument("ENTRY_INVALID", `entry ${entry.sequence} is not valid: ${why}`, {
    fields: { sequence: String(entry.sequence) },
  });
}
