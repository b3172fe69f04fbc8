import { sql, type Sql } from "@openhermit/postgres";
import type { TurnUpdate } from "./turn-change.ts";

/**
 * Writes what sidecars said about turns, as part of a statement. An update of an ended turn or of another attempt changes nothing;
 * the rules are those of the transition `change` of turn.ts. Of each turn and attempt at most one update.
 *
 * @param nowMs the latest time to be written, Unix milliseconds; sidecars' times are kept between the turn's creation and this.
 */
export function turnUpdateStatement(updates: readonly TurnUpdate[], nowMs: number): Sql {
  const now = new Date(nowMs);
  const column = <T>(of: (update: TurnUpdate) => T): T[] => updates.map(of);
  const time = (ms: number | undefined): Date | null =>
    ms === undefined ? null : new Date(Math.min(Math.max(ms, 0), nowMs));
  return sql`
    UPDATE sessions.turns AS t
    SET state = CASE WHEN u.state >= 4 THEN u.state WHEN t.state = 2 THEN 3 ELSE t.state END,
      tool_started = t.tool_started OR u.tool_started,
      start_time = CASE WHEN t.start_time IS NULL AND u.start_time IS NOT NULL AND (t.state > 1 OR u.state >= 4)
        THEN least(greatest(u.start_time, t.create_time), ${now}::timestamptz) ELSE t.start_time END,
      end_time = CASE WHEN u.state >= 4
        THEN least(greatest(coalesce(u.end_time, ${now}::timestamptz), t.create_time), ${now}::timestamptz) END,
      error_reason = u.error_reason, error_message = u.error_message, error_retryable = u.error_retryable,
      input_tokens = coalesce(u.input_tokens, t.input_tokens),
      output_tokens = coalesce(u.output_tokens, t.output_tokens),
      cache_read_tokens = coalesce(u.cache_read_tokens, t.cache_read_tokens),
      cache_write_tokens = coalesce(u.cache_write_tokens, t.cache_write_tokens),
      model_calls = coalesce(u.model_calls, t.model_calls),
      answer = CASE WHEN u.state >= 4 THEN u.answer ELSE t.answer END
    FROM unnest(
      ${column((u) => u.turnId)}::uuid[], ${column((u) => u.attempt)}::int[], ${column((u) => u.state)}::smallint[],
      ${column((u) => u.toolStarted)}::boolean[], ${column((u) => time(u.startMs))}::timestamptz[],
      ${column((u) => time(u.endMs))}::timestamptz[], ${column((u) => storable(u.error?.reason))}::text[],
      ${column((u) => storable(u.error?.message))}::text[], ${column((u) => u.error?.retryable ?? null)}::boolean[],
      ${column((u) => u.usage?.inputTokens ?? null)}::bigint[], ${column((u) => u.usage?.outputTokens ?? null)}::bigint[],
      ${column((u) => u.usage?.cacheReadTokens ?? null)}::bigint[],
      ${column((u) => u.usage?.cacheWriteTokens ?? null)}::bigint[], ${column((u) => u.usage?.modelCalls ?? null)}::int[],
      ${column((u) => storable(u.answer))}::text[]
    ) AS u (id, attempt, state, tool_started, start_time, end_time, error_reason, error_message, error_retryable,
      input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, model_calls, answer)
    WHERE t.id = u.id AND t.attempt = u.attempt AND t.attempt > 0 AND t.state < 4`;
}

/** The text without NUL characters, which PostgreSQL can't hold. */
function storable(text: string | undefined): string | null {
  return text?.replaceAll("\0", "") ?? null;
}
