import { notFound, type MeshError } from "@openhermit/errors";

/** The error for an agent that does not exist, and so for one that is out of reach: whoever asks can't tell them apart. */
export function agentNotFound(agentId: string): MeshError {
  return notFound("AGENT_NOT_FOUND", `agent "${agentId}" does not exist`, {
    hint: "List the agents for their ids.",
    fields: { agent_id: agentId },
  });
}
