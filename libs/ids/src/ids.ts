import { newUuidV7 } from "./uuid-v7.ts";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** An agent's id: a slug, chosen by a person. */
export type AgentId = Branded<"agent">;
/** A sidecar's id: a slug. The gateway's own launcher uses the id of the agent. */
export type SidecarId = Branded<"sidecar">;
/** A session's id, a UUIDv7. */
export type SessionId = Branded<"session">;
/** A turn's id, a UUIDv7. */
export type TurnId = Branded<"turn">;
/** An event's id, a UUIDv7. */
export type EventId = Branded<"event">;
/** A user's id, as the surface names it on which the user speaks. */
export type UserId = Branded<"user">;

const SLUG = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether the text may be the id of an agent: lower-case letters, digits, dashes, at most 63, no `:` and no `*`. */
export function isAgentId(text: string): text is AgentId {
  return SLUG.test(text);
}

/** A new session id. */
export const newSessionId = (): SessionId => newUuidV7() as SessionId;
/** A new turn id. */
export const newTurnId = (): TurnId => newUuidV7() as TurnId;
/** A new event id. */
export const newEventId = (): EventId => newUuidV7() as EventId;
