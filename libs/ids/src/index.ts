export {
  isAgentId,
  newEventId,
  newSessionId,
  newTurnId,
  type AgentId,
  type EventId,
  type SessionId,
  type SidecarId,
  type TurnId,
  type UserId,
} from "./ids.ts";
export { isToken, newCode, newToken } from "./token.ts";
export { isUuid, newUuidV7 } from "./uuid-v7.ts";
