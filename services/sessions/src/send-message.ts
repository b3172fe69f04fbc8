import { agentNotFound } from "@openhermit/caller";
import { isUuid, newSessionId, newTurnId } from "@openhermit/ids";
import type { Database } from "@openhermit/postgres";
import { DisconnectPolicy, type TurnEvent } from "@openhermit/protocol/sessions/v1/session";
import type { SendMessageRequest } from "@openhermit/protocol/sessions/v1/session_service";
import type { CallerStreams } from "./caller-stream.ts";
import { storeTurn, type NewTurn, type StoredTurn } from "./new-turn-store.ts";
import { ownChat, sessionKey } from "./session-key.ts";
import { titleOf } from "./session.ts";
import { agentStopped, queueFull, requestIdReused, sessionNotFound } from "./sessions-errors.ts";
import type { SessionsPorts } from "./sessions-ports.ts";
import type { SessionsTiming } from "./timing.ts";
import type { TurnDispatcher } from "./turn-dispatcher.ts";
import type { TurnRecord } from "./turn-record.ts";
import { findTurnOfRequest } from "./turn-store.ts";

/** Who sends a message, and until when somebody listens. */
export interface Sender {
  /** By name, as the credential says; as long as nobody sends for somebody else, also the user. */
  readonly name: string;
  /** The W3C trace context of the call. */
  readonly traceparent: string;
  readonly signal: AbortSignal;
}

/** Stores a message as a turn and streams it. */
export type SendMessage = (request: SendMessageRequest, sender: Sender) => AsyncGenerator<TurnEvent>;

/** Creates the stream of SendMessage. */
export function createSendMessage(options: {
  database: Database;
  gatewayId: string;
  ports: SessionsPorts;
  dispatcher: TurnDispatcher;
  callers: CallerStreams;
  timing: SessionsTiming;
}): SendMessage {
  const { database, gatewayId, ports, dispatcher, callers, timing } = options;

  /** The agent must be there and run; a repeated request joins its turn anyway. */
  const requireAgent = async ({ agentId, requestId }: SendMessageRequest): Promise<void> => {
    const { state } = ports.agentForTurn(agentId);
    if (state === "ready") return;
    if (requestId !== "" && (await findTurnOfRequest(database, agentId, requestId)) !== undefined) return;
    throw state === "stopped" ? agentStopped(agentId) : agentNotFound(agentId);
  };

  /** Stores and, in the tick of the answer, subscribes and then offers: nothing of a new turn can come before its reader. */
  const store = async (turn: NewTurn, signal: AbortSignal): Promise<[StoredTurn, AsyncGenerator<TurnEvent>?]> => {
    const sending = dispatcher.sending(turn.turnId, turn.agentId);
    try {
      const stored = await storeTurn(database, turn, timing.maxQueuedTurns);
      if (stored.kind !== "new") return [stored];
      const stream = callers.follow(stored.record, dispatcher.isCurrent(sending), signal);
      dispatcher.sent(sending, stored.record);
      return [stored, stream];
    } finally {
      dispatcher.notSent(sending);
    }
  };

  return async function* sendMessage(request, sender) {
    await requireAgent(request);
    const offer = dispatcher.canOffer(request.agentId);
    const [stored, stream] = await store(newTurn(request, sender, gatewayId, offer), sender.signal);
    switch (stored.kind) {
      case "full":
        throw queueFull(request.agentId, timing.maxQueuedTurns);
      case "no-session":
        throw sessionNotFound(sessionIdOf(request));
      case "joined":
        if (!isSameMessage(request, stored.record)) throw requestIdReused(request.requestId);
        break;
      case "new":
        break;
    }
    yield* stream ?? callers.follow(stored.record, false, sender.signal);
  };
}

function newTurn(request: SendMessageRequest, sender: Sender, gatewayId: string, offer: boolean): NewTurn {
  const { agentId, message, requestId, onDisconnect } = request;
  return {
    turnId: newTurnId(),
    agentId,
    message,
    conversation: conversationOf(request),
    title: titleOf(message),
    userId: sender.name,
    sender: sender.name,
    requestId,
    onDisconnect: onDisconnect === DisconnectPolicy.UNSPECIFIED ? DisconnectPolicy.CONTINUE : onDisconnect,
    traceparent: sender.traceparent,
    gatewayId,
    offer,
  };
}

function conversationOf(request: SendMessageRequest): NewTurn["conversation"] {
  const { agentId, conversation } = request;
  const sessionId = sessionIdOf(request);
  if (sessionId !== "") {
    if (!isUuid(sessionId)) throw sessionNotFound(sessionId);
    return { kind: "session", sessionId };
  }
  const newSession = newSessionId();
  const chat = conversation.case === "chat" ? conversation.value : ownChat(newSession);
  return { kind: "key", key: sessionKey(agentId, chat), channel: chat.platform, newSessionId: newSession };
}

function sessionIdOf({ conversation }: SendMessageRequest): string {
  return conversation.case === "sessionId" ? conversation.value : "";
}

function isSameMessage(request: SendMessageRequest, { turn }: TurnRecord): boolean {
  const sessionId = sessionIdOf(request);
  return turn.message === request.message && (sessionId === "" || turn.sessionId === sessionId);
}
