import type { Database, Sql } from "@openhermit/postgres";
import { isUniqueViolation, sql } from "@openhermit/postgres";
import type { DisconnectPolicy } from "@openhermit/protocol/sessions/v1/session";
import { sendContended } from "./sessions-errors.ts";
import type { TurnRecord } from "./turn-record.ts";
import { toTurnRecord, TURN_COLUMNS, type TurnRow } from "./turn-row-store.ts";

/** A message that shall become a turn. */
export interface NewTurn {
  readonly turnId: string;
  readonly agentId: string;
  readonly message: string;
  readonly conversation:
    | { readonly kind: "session"; readonly sessionId: string }
    /** The session of this key is found or made. */
    | { readonly kind: "key"; readonly key: string; readonly channel: string; readonly newSessionId: string };
  readonly title: string;
  readonly userId: string;
  /** Who sent it, by name, as the credential says. */
  readonly sender: string;
  /** Empty when the call is not repeated. */
  readonly requestId: string;
  readonly onDisconnect: DisconnectPolicy;
  readonly traceparent: string;
  readonly gatewayId: string;
  /** Whether the turn can be offered at once when its session is free. */
  readonly offer: boolean;
}

/** What became of a message. */
export type StoredTurn =
  /** It is a turn, offered or queued. */
  | { readonly kind: "new"; readonly record: TurnRecord }
  /** A turn with this request id was there already. */
  | { readonly kind: "joined"; readonly record: TurnRecord }
  | { readonly kind: "full" }
  | { readonly kind: "no-session" };

const MAX_TRIES = 20;

/**
 * Makes a turn in one statement: finds or makes the session, and offers the turn when the session is free, else queues it.
 *
 * The session counts as free only when the turn before this one is visible and no turn of it is open. The row of the session is
 * locked first, so whoever comes second sees in it a newest turn that its own snapshot may not show, and queues; the poke
 * after the commit then lets it run. So no two turns of a session are ever offered at once, and nobody waits for an ingest.
 */
export async function storeTurn(database: Database, turn: NewTurn, maxQueued: number): Promise<StoredTurn> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    try {
      return await tryStoreTurn(database, turn, maxQueued);
    } catch (error) {
      // Somebody stored a turn with the same request id in between: the next try finds it.
      if (!isUniqueViolation(error, "turns_request_unique")) throw error;
    }
  }
  throw sendContended(turn.agentId);
}

async function tryStoreTurn(database: Database, turn: NewTurn, maxQueued: number): Promise<StoredTurn> {
  const { agentId, message, userId, sender, onDisconnect, traceparent, gatewayId, offer } = turn;
  const requestId = turn.requestId === "" ? null : turn.requestId;
  const { rows } = await database.query<{ free: boolean; joined: boolean | null } & TurnRow>(sql`
    WITH existing AS (
      SELECT ${TURN_COLUMNS} FROM sessions.turns t WHERE t.agent_id = ${agentId} AND t.request_id = ${requestId}
    ), room AS (
      SELECT count(*) < ${maxQueued}::bigint AS free FROM (
        SELECT FROM sessions.turns q WHERE q.agent_id = ${agentId} AND q.state < 4 AND q.state = 1 LIMIT ${maxQueued}::bigint
      ) AS queued
    ), session AS (${sessionOf(turn)}
    ), added AS (
      INSERT INTO sessions.turns AS t (
        id, session_id, number, agent_id, user_id, sender, channel, state, attempt, message, request_id, on_disconnect,
        traceparent, gateway_id, owner_time, base_position)
      SELECT ${turn.turnId}::uuid, s.id, s.turn_count, ${agentId}, ${userId}, ${sender}, s.channel,
        CASE WHEN s.offered THEN 2 ELSE 1 END, CASE WHEN s.offered THEN 1 ELSE 0 END, ${message}, ${requestId},
        ${onDisconnect}::smallint, ${traceparent}, CASE WHEN s.offered THEN ${gatewayId} END,
        CASE WHEN s.offered THEN now() END,
        coalesce((SELECT max(e.position) FROM sessions.transcript_entries e WHERE e.session_id = s.id), 0)
      FROM (
        SELECT session.*, ${offer}::boolean
          AND (previous_turn_id IS NULL OR EXISTS (SELECT FROM sessions.turns p WHERE p.id = previous_turn_id))
          AND NOT EXISTS (
            SELECT FROM sessions.turns o WHERE o.agent_id = ${agentId} AND o.session_id = session.id AND o.state < 4
          ) AS offered
        FROM session
      ) AS s
      RETURNING ${TURN_COLUMNS}
    )
    SELECT room.free, found.* FROM room LEFT JOIN (
      SELECT false AS joined, added.* FROM added UNION ALL SELECT true, existing.* FROM existing
    ) AS found ON true`);
  const row = rows[0];
  if (row === undefined || row.joined === null) return { kind: row?.free === false ? "full" : "no-session" };
  return { kind: row.joined ? "joined" : "new", record: toTurnRecord(row) };
}

/** Counts one more turn in the session: `id, turn_count, previous_turn_id, channel`; nothing when there is no such session, or no room. */
function sessionOf({ conversation, agentId, turnId, userId, title }: NewTurn): Sql {
  if (conversation.kind === "session") {
    return sql`
      UPDATE sessions.sessions AS s
      SET turn_count = s.turn_count + 1, previous_turn_id = s.last_turn_id, last_turn_id = ${turnId}::uuid,
        send_time = greatest(s.send_time, now())
      FROM room
      WHERE s.id = ${conversation.sessionId}::uuid AND s.agent_id = ${agentId}
        AND room.free AND NOT EXISTS (SELECT FROM existing)
      RETURNING s.id, s.turn_count, s.previous_turn_id, s.channel`;
  }
  return sql`
      INSERT INTO sessions.sessions AS s (id, agent_id, key, user_id, channel, title, turn_count, last_turn_id)
      SELECT ${conversation.newSessionId}::uuid, ${agentId}, ${conversation.key}, ${userId}, ${conversation.channel},
        ${title}, 1, ${turnId}::uuid
      FROM room WHERE room.free AND NOT EXISTS (SELECT FROM existing)
      ON CONFLICT (key) DO UPDATE
      SET turn_count = s.turn_count + 1, previous_turn_id = s.last_turn_id, last_turn_id = excluded.last_turn_id,
        send_time = greatest(s.send_time, now())
      RETURNING s.id, s.turn_count, s.previous_turn_id, s.channel`;
}
