import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  TurnErrorSchema,
  TurnSchema,
  UsageSchema,
  type DisconnectPolicy,
  type TurnError,
  type TurnState,
} from "@openhermit/protocol/sessions/v1/session";
import { rawSql, sql, type Sql } from "@openhermit/postgres";
import { parseTraceparent } from "@openhermit/telemetry";
import type { TurnRecord } from "./turn-record.ts";

/** The columns of sessions.turns AS t that {@link toTurnRecord} reads. */
export const TURN_COLUMNS = rawSql(
  `t.id, t.session_id, t.agent_id, t.user_id, t.sender, t.channel, t.state, t.attempt, t.message, t.on_disconnect,
   t.traceparent, t.create_time, t.start_time, t.end_time, t.tool_started, t.cancel_reason, t.gateway_id, t.base_position,
   t.error_reason, t.error_message, t.error_retryable, t.input_tokens, t.output_tokens, t.cache_read_tokens,
   t.cache_write_tokens, t.model_calls, t.answer`,
);

/** A row with {@link TURN_COLUMNS}. */
export interface TurnRow {
  id: string;
  session_id: string;
  agent_id: string;
  user_id: string;
  sender: string;
  channel: string;
  state: TurnState;
  attempt: number;
  message: string;
  on_disconnect: DisconnectPolicy;
  traceparent: string;
  create_time: Date;
  start_time: Date | null;
  end_time: Date | null;
  tool_started: boolean;
  cancel_reason: string | null;
  gateway_id: string | null;
  base_position: bigint;
  error_reason: string | null;
  error_message: string | null;
  error_retryable: boolean | null;
  input_tokens: bigint;
  output_tokens: bigint;
  cache_read_tokens: bigint;
  cache_write_tokens: bigint;
  model_calls: number;
  answer: string;
}

/** A row as a turn. */
export function toTurnRecord(row: TurnRow): TurnRecord {
  const turn = create(TurnSchema, {
    id: row.id,
    sessionId: row.session_id,
    agentId: row.agent_id,
    state: row.state,
    attempt: row.attempt,
    message: row.message,
    usage: create(UsageSchema, {
      inputTokens: row.input_tokens,
      outputTokens: row.output_tokens,
      cacheReadTokens: row.cache_read_tokens,
      cacheWriteTokens: row.cache_write_tokens,
      modelCalls: row.model_calls,
    }),
    onDisconnect: row.on_disconnect,
    createTime: timestampFromDate(row.create_time),
    traceId: parseTraceparent(row.traceparent)?.traceId ?? "",
    answer: row.answer,
    sender: row.sender,
  });
  if (row.start_time !== null) turn.startTime = timestampFromDate(row.start_time);
  if (row.end_time !== null) turn.endTime = timestampFromDate(row.end_time);
  if (row.error_reason !== null) {
    turn.error = create(TurnErrorSchema, {
      reason: row.error_reason,
      message: row.error_message ?? "",
      retryable: row.error_retryable ?? false,
    });
  }
  return {
    turn,
    userId: row.user_id,
    channel: row.channel,
    traceparent: row.traceparent,
    createTime: row.create_time,
    toolStarted: row.tool_started,
    cancelReason: row.cancel_reason ?? undefined,
    gatewayId: row.gateway_id ?? undefined,
    basePosition: row.base_position,
  };
}

/** A turn that this gateway has just taken into its hands. */
export interface ClaimedTurn {
  readonly record: TurnRecord;
  /** The newest stored position of its session. */
  readonly transcriptHead: bigint;
}

/** The column of sessions.turns AS t that {@link toClaimedTurn} reads besides. */
export const TRANSCRIPT_HEAD = rawSql(
  `coalesce((SELECT max(e.position) FROM sessions.transcript_entries e WHERE e.session_id = t.session_id), 0)
   AS transcript_head`,
);

/** A row with {@link TRANSCRIPT_HEAD} as a claimed turn. */
export function toClaimedTurn(row: TurnRow & { transcript_head: bigint }): ClaimedTurn {
  return { record: toTurnRecord(row), transcriptHead: row.transcript_head };
}

/** What is written down of turns that end because their sidecar is gone. */
export interface LossErrors {
  readonly cancelled: TurnError;
  readonly interrupted: TurnError;
}

/**
 * The assignments for a turn of sessions.turns AS t without an owner, see the transition `lose` of turn.ts: interrupted when a tool had
 * started, cancelled when somebody asked for it, else queued again.
 */
export function loseTurn({ cancelled, interrupted }: LossErrors): Sql {
  return sql`state = CASE WHEN t.tool_started THEN 7 WHEN t.cancel_reason IS NOT NULL THEN 6 ELSE 1 END,
    start_time = CASE WHEN t.tool_started OR t.cancel_reason IS NOT NULL THEN t.start_time END,
    end_time = CASE WHEN t.tool_started OR t.cancel_reason IS NOT NULL THEN now() END,
    queue_time = CASE WHEN t.tool_started OR t.cancel_reason IS NOT NULL THEN t.queue_time ELSE now() END,
    error_reason = CASE WHEN t.tool_started THEN ${interrupted.reason}
      WHEN t.cancel_reason IS NOT NULL THEN ${cancelled.reason} END,
    error_message = CASE WHEN t.tool_started THEN ${interrupted.message} ELSE t.cancel_reason END,
    error_retryable = CASE WHEN t.tool_started THEN ${interrupted.retryable}::boolean
      WHEN t.cancel_reason IS NOT NULL THEN ${cancelled.retryable}::boolean END`;
}
