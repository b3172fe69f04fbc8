import { isUuid } from "@openhermit/ids";
import { sql, type Queryable, type Sql } from "@openhermit/postgres";
import type { SessionRecord } from "./session.ts";

/** Where a page of sessions goes on. */
export interface SessionCursor {
  /** When the last session of the page before was last sent to, as the database writes it. */
  readonly sendTime: string;
  readonly id: string;
}

/** A page of sessions. */
export interface SessionPage {
  readonly sessions: SessionRecord[];
  /** Undefined on the last page. */
  readonly next: SessionCursor | undefined;
}

interface SessionRow {
  id: string;
  agent_id: string;
  key: string;
  user_id: string;
  channel: string;
  title: string;
  create_time: Date;
  activity_time: Date;
  turn_count: number;
  transcript_head: bigint;
  cursor_time: string;
}

/** Reads one session. Any text may be asked for. */
export async function findSession(db: Queryable, sessionId: string): Promise<SessionRecord | undefined> {
  if (!isUuid(sessionId)) return undefined;
  const { rows } = await db.query<SessionRow>(selectSessions(sql`WHERE s.id = ${sessionId}::uuid`, 1));
  return rows[0] === undefined ? undefined : toSession(rows[0]);
}

/**
 * Reads a page, newest message first.
 *
 * @param agentId only of this agent; empty for all.
 */
export async function listSessions(
  db: Queryable,
  agentId: string,
  after: SessionCursor | undefined,
  limit: number,
): Promise<SessionPage> {
  const ofAgent = agentId === "" ? sql`true` : sql`s.agent_id = ${agentId}`;
  const rest =
    after === undefined ? sql`true` : sql`(s.send_time, s.id) < (${after.sendTime}::timestamptz, ${after.id}::uuid)`;
  const { rows } = await db.query<SessionRow>(selectSessions(sql`WHERE ${ofAgent} AND ${rest}`, limit + 1));
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    sessions: page.map(toSession),
    next: rows.length > limit && last !== undefined ? { sendTime: last.cursor_time, id: last.id } : undefined,
  };
}

function selectSessions(where: Sql, limit: number): Sql {
  return sql`
    SELECT s.id, s.agent_id, s.key, s.user_id, s.channel, s.title, s.create_time, s.turn_count,
      (s.send_time AT TIME ZONE 'UTC')::text || 'Z' AS cursor_time,
      greatest(s.send_time, (SELECT max(t.end_time) FROM sessions.turns t WHERE t.session_id = s.id)) AS activity_time,
      coalesce((SELECT max(e.position) FROM sessions.transcript_entries e WHERE e.session_id = s.id), 0) AS transcript_head
    FROM (SELECT * FROM sessions.sessions s ${where} ORDER BY s.send_time DESC, s.id DESC LIMIT ${limit}::bigint) AS s
    ORDER BY s.send_time DESC, s.id DESC`;
}

function toSession(row: SessionRow): SessionRecord {
  return {
    id: row.id,
    agentId: row.agent_id,
    key: row.key,
    userId: row.user_id,
    channel: row.channel,
    title: row.title,
    createTime: row.create_time,
    lastActivityTime: row.activity_time,
    turnCount: row.turn_count,
    transcriptHead: row.transcript_head,
  };
}
