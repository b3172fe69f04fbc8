import type { Event } from "@openhermit/protocol/activity/v1/event";

/**
 * The events of sidecars, with what the gateway knows better than they: which sidecar said it, by its credential, and who sent a
 * message, by the credential of the call that sent it.
 */
export function withKnownOrigin(
  said: readonly { sidecarId: string; event: Event }[],
  senderOf: (turnId: string, agentId: string) => string,
): Event[] {
  return said.map(({ sidecarId, event }) => {
    const { detail, turnId, agentId } = event;
    if (detail.case === "messageIn") detail.value.sender = senderOf(turnId, agentId);
    return Object.assign(event, { sidecarId });
  });
}
