import { sql, type Queryable } from "@openhermit/postgres";
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

/** A stored turn that matters when a sidecar attaches. */
export interface AttachedTurn {
  readonly record: TurnRecord;
  /** Whether another turn of its session is under way. */
  readonly sessionBusy: boolean;
}

/**
 * Locks and reads the turns of the agents that are under way, and whatever turns the ids stand for, in the order of their ids.
 * For use within a transaction.
 */
export async function lockTurnsForAttach(
  tx: Queryable,
  agentIds: readonly string[],
  ledgerIds: readonly string[],
): Promise<AttachedTurn[]> {
  const { rows } = await tx.query<TurnRow & { session_busy: boolean }>(sql`
    SELECT ${TURN_COLUMNS}, EXISTS (
      SELECT FROM sessions.turns o WHERE o.session_id = t.session_id AND o.state IN (2, 3) AND o.id <> t.id
    ) AS session_busy
    FROM sessions.turns t
    WHERE (t.agent_id = ANY(${agentIds}::text[]) AND t.state < 4 AND t.state IN (2, 3)) OR t.id = ANY(${ledgerIds}::uuid[])
    ORDER BY t.id FOR UPDATE`);
  return rows.map((row) => ({ record: toTurnRecord(row), sessionBusy: row.session_busy }));
}

/** Makes this gateway the owner of turns that a sidecar has in its ledger. */
export async function adoptTurns(tx: Queryable, gatewayId: string, turnIds: readonly string[]): Promise<ClaimedTurn[]> {
  const { rows } = await tx.query<TurnRow & { transcript_head: bigint }>(sql`
    UPDATE sessions.turns AS t
    SET gateway_id = ${gatewayId}, owner_time = now(), state = CASE WHEN t.state = 1 THEN 2 ELSE t.state END
    WHERE t.id = ANY(${turnIds}::uuid[]) AND t.state < 4
    RETURNING ${TURN_COLUMNS}, ${TRANSCRIPT_HEAD}`);
  return rows.map(toClaimedTurn);
}

/** Takes turns from whoever had them: queued again, cancelled or interrupted. */
export async function loseTurns(tx: Queryable, turnIds: readonly string[], errors: LossErrors): Promise<TurnRecord[]> {
  const { rows } = await tx.query<TurnRow>(sql`
    UPDATE sessions.turns AS t SET ${loseTurn(errors)}
    WHERE t.id = ANY(${turnIds}::uuid[]) AND t.state IN (2, 3)
    RETURNING ${TURN_COLUMNS}`);
  return rows.map(toTurnRecord);
}

/** What the search for lost turns goes by. */
export interface LossSearch {
  readonly gatewayId: string;
  /** The agents with turns under way that are linked to this gateway. */
  readonly linkedAgentIds: readonly string[];
  /** The turns this gateway has in hand, or is just storing. */
  readonly knownTurnIds: readonly string[];
  /** After how long a turn is lost whose owner has not been seen; undefined to judge no others. */
  readonly lostMs: number | undefined;
  /** After how long a turn is lost that this gateway owns and does not know. */
  readonly strayMs: number;
  readonly errors: LossErrors;
}

/** Renews what this gateway owns, and takes turns from owners that are gone. All times are the database's. */
export async function renewAndFindLost(db: Queryable, search: LossSearch): Promise<TurnRecord[]> {
  const { gatewayId, linkedAgentIds, knownTurnIds, lostMs, strayMs, errors } = search;
  const { rows } = await db.query<TurnRow>(sql`
    WITH renewed AS (
      INSERT INTO sessions.turn_owners AS o (agent_id, gateway_id, seen_time)
      SELECT agent_id, ${gatewayId}, now() FROM unnest(${linkedAgentIds}::text[]) AS linked (agent_id)
      ON CONFLICT (agent_id, gateway_id) DO UPDATE SET seen_time = excluded.seen_time
    ), forgotten AS (
      DELETE FROM sessions.turn_owners WHERE gateway_id <> ${gatewayId} AND seen_time < now() - interval '1 hour'
    ), lost AS (
      SELECT u.id FROM sessions.turns u
      LEFT JOIN sessions.turn_owners o ON o.agent_id = u.agent_id AND o.gateway_id = u.gateway_id
      WHERE u.state < 4 AND (
        (u.state IN (2, 3) AND u.gateway_id = ${gatewayId} AND u.id <> ALL(${knownTurnIds}::uuid[])
          AND u.owner_time < now() - ${strayMs}::float8 * interval '1 millisecond')
        OR (${lostMs !== undefined}::boolean AND u.state IN (2, 3)
          AND NOT (u.gateway_id = ${gatewayId} AND u.agent_id = ANY(${linkedAgentIds}::text[]))
          AND greatest(o.seen_time, u.owner_time) < now() - ${lostMs ?? 0}::float8 * interval '1 millisecond')
        OR (u.state = 1 AND u.tool_started)
      )
      ORDER BY u.id FOR UPDATE OF u SKIP LOCKED
    )
    UPDATE sessions.turns AS t SET ${loseTurn(errors)} FROM lost WHERE t.id = lost.id
    RETURNING ${TURN_COLUMNS}`);
  return rows.map(toTurnRecord);
}

/** Which of the turns are no longer under way through this gateway. */
export async function listDisowned(db: Queryable, gatewayId: string, turnIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(sql`
    SELECT k.id FROM unnest(${turnIds}::uuid[]) AS k (id)
    WHERE NOT EXISTS (
      SELECT FROM sessions.turns t WHERE t.id = k.id AND t.state IN (2, 3) AND t.gateway_id = ${gatewayId})`);
  return rows.map((row) => row.id);
}

/**
 * The agents with a turn that is the first of its session, has waited for longer than that, and that no gateway had a link to
 * meanwhile as far as is known.
 */
export async function listUnreachableAgents(db: Queryable, unreachableMs: number): Promise<string[]> {
  const { rows } = await db.query<{ agent_id: string }>(sql`
    SELECT DISTINCT q.agent_id FROM sessions.turns q
    WHERE q.state < 4 AND q.state = 1 AND q.queue_time < now() - ${unreachableMs}::float8 * interval '1 millisecond'
      AND NOT EXISTS (
        SELECT FROM sessions.turns e
        WHERE e.agent_id = q.agent_id AND e.session_id = q.session_id AND e.state < 4 AND e.number < q.number)
      AND NOT EXISTS (
        SELECT FROM sessions.turn_owners o
        WHERE o.agent_id = q.agent_id AND o.seen_time > now() - ${unreachableMs}::float8 * interval '1 millisecond')`);
  return rows.map((row) => row.agent_id);
}

/** Ends the turns of an agent that have waited for longer than that. */
export async function failOverdue(
  db: Queryable,
  agentId: string,
  waitedMs: number,
  error: TurnError,
): Promise<TurnRecord[]> {
  const { rows } = await db.query<TurnRow>(sql`
    WITH overdue AS (
      SELECT q.id FROM sessions.turns q
      WHERE q.agent_id = ${agentId} AND q.state < 4 AND q.state = 1
        AND q.queue_time < now() - ${waitedMs}::float8 * interval '1 millisecond'
      ORDER BY q.id FOR UPDATE SKIP LOCKED
    )
    UPDATE sessions.turns AS t
    SET state = 5, end_time = now(), error_reason = ${error.reason}, error_message = ${error.message},
      error_retryable = ${error.retryable}::boolean
    FROM overdue WHERE t.id = overdue.id
    RETURNING ${TURN_COLUMNS}`);
  return rows.map(toTurnRecord);
}
