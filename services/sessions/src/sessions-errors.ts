import { create } from "@bufbuild/protobuf";
import {
  failedPrecondition,
  invalidArgument,
  notFound,
  resourceExhausted,
  unavailable,
  type MeshError,
} from "@openhermit/errors";
import { TurnErrorSchema, type TurnError } from "@openhermit/protocol/sessions/v1/session";

/** The refusal of a message to an agent that shall not run. */
export function agentStopped(agentId: string): MeshError {
  return failedPrecondition("AGENT_STOPPED", `agent "${agentId}" is stopped`, {
    hint: `Start it, then send the message again.`,
    fields: { agent_id: agentId },
  });
}

/** The session does not exist, or belongs to another agent. */
export function sessionNotFound(sessionId: string): MeshError {
  return notFound("SESSION_NOT_FOUND", `session "${sessionId}" does not exist`, {
    hint: "List the agent's sessions to see their ids.",
    fields: { session_id: sessionId },
  });
}

/** The turn does not exist. */
export function turnNotFound(turnId: string): MeshError {
  return notFound("TURN_NOT_FOUND", `turn "${turnId}" does not exist`, { fields: { turn_id: turnId } });
}

/** The request id stands for another message. */
export function requestIdReused(requestId: string): MeshError {
  return invalidArgument("REQUEST_ID_REUSED", `request id "${requestId}" was used for another message`, {
    hint: "Use a new UUID for each message; repeat one only with the same message.",
    fields: { request_id: requestId },
  });
}

/** The agent's queue is full. */
export function queueFull(agentId: string, bound: number): MeshError {
  return resourceExhausted("QUEUE_FULL", `${bound} turns of agent "${agentId}" wait already`, {
    hint: "Send the message again when some of them have run.",
    fields: { agent_id: agentId },
  });
}

/** The reader of a turn's stream does not keep up. */
export function slowReader(turnId: string, bound: number): MeshError {
  return resourceExhausted("SLOW_READER", `more than ${bound} bytes of turn "${turnId}" wait for this reader`, {
    hint: "The turn goes on; watch it again by its id.",
    fields: { turn_id: turnId },
  });
}

/** The gateway is stopping. */
export function gatewayStopping(): MeshError {
  return unavailable("GATEWAY_STOPPING", "the gateway is stopping", {
    hint: "Turns go on when it is back; watch the turn again by its id.",
  });
}

/** A message was tried too often against others of the same request. */
export function sendContended(agentId: string): MeshError {
  return unavailable("SEND_CONTENDED", `the message to agent "${agentId}" was sent too often at once`, {
    hint: "Send it again with the same request id.",
    fields: { agent_id: agentId },
  });
}

const turnError = (reason: string, message: string, retryable: boolean): TurnError =>
  create(TurnErrorSchema, { reason, message, retryable });

/** Why a turn ended that was cancelled before it ran, or whose sidecar was lost after it was asked to end. */
export const turnCancelled = (why: string): TurnError => turnError("TURN_CANCELLED", why, false);

/** Why a turn ended whose sidecar was lost after a tool had started. */
export const turnInterrupted = (): TurnError =>
  turnError(
    "TURN_INTERRUPTED",
    "the sidecar was lost while the turn ran; it is not run again, since a tool had started and may have had its effect",
    false,
  );

/** Why a turn ended that nobody came for. */
export const agentUnreachable = (agentId: string): TurnError =>
  turnError("AGENT_UNREACHABLE", `agent "${agentId}" was not reachable for too long; look at its health`, true);

/** Why a turn ended whose agent was stopped while it waited. */
export const stoppedWhileQueued = (agentId: string): TurnError =>
  turnError("AGENT_STOPPED", `agent "${agentId}" was stopped before the turn ran; start it and send it again`, true);

/** Why a turn ended whose agent was deleted while it waited. */
export const deletedWhileQueued = (agentId: string): TurnError =>
  turnError("AGENT_NOT_FOUND", `agent "${agentId}" was deleted before the turn ran`, false);

/** Why a turn ended that the sidecar can't write down. */
export const outboxFull = (agentId: string, detail: string): TurnError =>
  turnError(
    "OUTBOX_FULL",
    `the sidecar of agent "${agentId}" takes no turns: ${detail === "" ? "its outbox is full" : detail}`,
    true,
  );
