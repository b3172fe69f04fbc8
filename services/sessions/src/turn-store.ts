import { sql, type Queryable } from "@openhermit/postgres";
import { isUuid } from "@openhermit/ids";
import type { TurnError } from "@openhermit/protocol/sessions/v1/session";
import type { TurnRecord } from "./turn-record.ts";
import {
  loseTurn,
  toClaimedTurn,
  toTurnRecord,
  TRANSCRIPT_HEAD,
  TURN_COLUMNS,
  type ClaimedTurn,
  type LossErrors,
  type TurnRow,
} from "./turn-row-store.ts";

/** The channel on which gateways tell one another about turns. */
export const SESSIONS_CHANNEL = "openhermit_sessions";

/** One turn in one attempt. */
export interface TurnAttempt {
  readonly turnId: string;
  readonly attempt: number;
}

/** Reads one turn. Any text may be asked for. */
export async function findTurn(db: Queryable, turnId: string): Promise<TurnRecord | undefined> {
  return (await findTurns(db, [turnId]))[0];
}

/** Reads turns, in no order; those that do not exist are left out. */
export async function findTurns(db: Queryable, turnIds: readonly string[]): Promise<TurnRecord[]> {
  const ids = turnIds.filter(isUuid);
  if (ids.length === 0) return [];
  const { rows } = await db.query<TurnRow>(
    sql`SELECT ${TURN_COLUMNS} FROM sessions.turns t WHERE t.id = ANY(${ids}::uuid[])`,
  );
  return rows.map(toTurnRecord);
}

/** The turn that a request id of an agent stands for. */
export async function findTurnOfRequest(
  db: Queryable,
  agentId: string,
  requestId: string,
): Promise<TurnRecord | undefined> {
  const { rows } = await db.query<TurnRow>(sql`
    SELECT ${TURN_COLUMNS} FROM sessions.turns t WHERE t.agent_id = ${agentId} AND t.request_id = ${requestId}`);
  return rows[0] === undefined ? undefined : toTurnRecord(rows[0]);
}

/**
 * Claims queued turns of the agents as offered by this gateway, the oldest first: the first of each session, if nothing of the session is
 * under way. Turns that another gateway is claiming are left out.
 *
 * @param sessionIds only of these sessions; undefined for all.
 */
export async function claimTurns(
  db: Queryable,
  gatewayId: string,
  agentIds: readonly string[],
  sessionIds: readonly string[] | undefined,
  limit: number,
): Promise<ClaimedTurn[]> {
  const ofSessions = sessionIds === undefined ? sql`` : sql`AND q.session_id = ANY(${sessionIds}::uuid[])`;
  const { rows } = await db.query<TurnRow & { transcript_head: bigint }>(sql`
    WITH head AS (
      SELECT q.id FROM sessions.turns q
      WHERE q.agent_id = ANY(${agentIds}::text[]) AND q.state < 4 AND q.state = 1 ${ofSessions}
        AND NOT q.tool_started AND q.cancel_reason IS NULL
        AND NOT EXISTS (
          SELECT FROM sessions.turns e
          WHERE e.agent_id = q.agent_id AND e.session_id = q.session_id AND e.state < 4 AND e.number < q.number
        )
      ORDER BY q.create_time, q.id LIMIT ${limit}::bigint FOR UPDATE SKIP LOCKED
    )
    UPDATE sessions.turns AS t
    SET state = 2, attempt = t.attempt + 1, gateway_id = ${gatewayId}, owner_time = now()
    FROM head WHERE t.id = head.id
    RETURNING ${TURN_COLUMNS}, ${TRANSCRIPT_HEAD}`);
  return rows.map(toClaimedTurn).toSorted((a, b) => a.record.createTime.getTime() - b.record.createTime.getTime());
}

/** Raises the attempt of offers of this gateway that were not accepted; those that have moved on are left out. */
export async function repeatOffers(
  db: Queryable,
  gatewayId: string,
  offers: readonly TurnAttempt[],
): Promise<ClaimedTurn[]> {
  const { rows } = await db.query<TurnRow & { transcript_head: bigint }>(sql`
    WITH stale AS (
      SELECT o.id FROM sessions.turns o
      JOIN unnest(${offers.map((offer) => offer.turnId)}::uuid[], ${offers.map((offer) => offer.attempt)}::int[])
        AS said (id, attempt) ON said.id = o.id
      WHERE o.state = 2 AND o.attempt = said.attempt AND o.gateway_id = ${gatewayId}
      ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE sessions.turns AS t SET attempt = t.attempt + 1, owner_time = now()
    FROM stale WHERE t.id = stale.id
    RETURNING ${TURN_COLUMNS}, ${TRANSCRIPT_HEAD}`);
  return rows.map(toClaimedTurn);
}

/** Puts offers that were not delivered or were refused back into the queue, or ends them when somebody asked for it. */
export async function giveBackOffers(
  db: Queryable,
  offers: readonly TurnAttempt[],
  errors: LossErrors,
): Promise<TurnRecord[]> {
  const { rows } = await db.query<TurnRow>(sql`
    WITH refused AS (
      SELECT o.id FROM sessions.turns o
      JOIN unnest(${offers.map((offer) => offer.turnId)}::uuid[], ${offers.map((offer) => offer.attempt)}::int[])
        AS said (id, attempt) ON said.id = o.id
      WHERE o.state = 2 AND o.attempt = said.attempt
      ORDER BY o.id FOR UPDATE OF o
    )
    UPDATE sessions.turns AS t
    SET ${loseTurn(errors)}
    FROM refused WHERE t.id = refused.id
    RETURNING ${TURN_COLUMNS}`);
  return rows.map(toTurnRecord);
}

/**
 * Asks a turn to end: a queued one ends at once, one under way keeps the reason. Undefined when that changes nothing: it has
 * ended, was asked before, or does not exist.
 */
export async function cancelTurn(db: Queryable, turnId: string, cancelled: TurnError): Promise<TurnRecord | undefined> {
  if (!isUuid(turnId)) return undefined;
  const { rows } = await db.query<TurnRow>(sql`
    UPDATE sessions.turns AS t
    SET cancel_reason = ${cancelled.message},
      state = CASE WHEN t.state = 1 THEN 6 ELSE t.state END,
      end_time = CASE WHEN t.state = 1 THEN now() END,
      error_reason = CASE WHEN t.state = 1 THEN ${cancelled.reason} END,
      error_message = CASE WHEN t.state = 1 THEN ${cancelled.message} END,
      error_retryable = CASE WHEN t.state = 1 THEN ${cancelled.retryable}::boolean END
    WHERE t.id = ${turnId}::uuid AND t.state < 4 AND t.cancel_reason IS NULL
    RETURNING ${TURN_COLUMNS}`);
  return rows[0] === undefined ? undefined : toTurnRecord(rows[0]);
}

/** Ends an offer that can't be carried out. Undefined when it has moved on. */
export async function failOffer(
  db: Queryable,
  { turnId, attempt }: TurnAttempt,
  error: TurnError,
): Promise<TurnRecord | undefined> {
  const { rows } = await db.query<TurnRow>(sql`
    UPDATE sessions.turns AS t
    SET state = 5, end_time = now(), error_reason = ${error.reason}, error_message = ${error.message},
      error_retryable = ${error.retryable}::boolean
    WHERE t.id = ${turnId}::uuid AND t.attempt = ${attempt}::int AND t.state = 2
    RETURNING ${TURN_COLUMNS}`);
  return rows[0] === undefined ? undefined : toTurnRecord(rows[0]);
}

/** The agents that have queued turns. */
export async function listQueuedAgents(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ agent_id: string }>(
    sql`SELECT DISTINCT agent_id FROM sessions.turns WHERE state < 4 AND state = 1`,
  );
  return rows.map((row) => row.agent_id);
}

/** Ends the queued turns of an agent that will not run them. */
export async function failQueued(db: Queryable, agentId: string, error: TurnError): Promise<TurnRecord[]> {
  const { rows } = await db.query<TurnRow>(sql`
    WITH waiting AS (
      SELECT q.id FROM sessions.turns q
      WHERE q.agent_id = ${agentId} AND q.state < 4 AND q.state = 1 ORDER BY q.id FOR UPDATE SKIP LOCKED
    )
    UPDATE sessions.turns AS t
    SET state = 5, end_time = now(), error_reason = ${error.reason}, error_message = ${error.message},
      error_retryable = ${error.retryable}::boolean
    FROM waiting WHERE t.id = waiting.id
    RETURNING ${TURN_COLUMNS}`);
  return rows.map(toTurnRecord);
}

/** Tells the other gateways, and this one. */
export async function notifyGateways(db: Queryable, payload: string): Promise<void> {
  await db.query(sql`SELECT pg_notify(${SESSIONS_CHANNEL}, ${payload})`);
}
