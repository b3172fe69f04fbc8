import { isUuid } from "@openhermit/ids";
import { cutPage } from "@openhermit/paging";
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
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** Of so many agents sessions are read one agent after the other. */
const FEW_AGENTS = 100;

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
  const { rows } = await db.query<SessionRow>(
    selectSessions(sql`SELECT s.* FROM sessions.sessions s WHERE s.id = ${sessionId}::uuid`),
  );
  return rows[0] === undefined ? undefined : toSession(rows[0]);
}

/** The agent of a session. */
export async function findSessionAgent(db: Queryable, sessionId: string): Promise<string | undefined> {
  if (!isUuid(sessionId)) return undefined;
  const { rows } = await db.query<{ agent_id: string }>(
    sql`SELECT s.agent_id FROM sessions.sessions s WHERE s.id = ${sessionId}::uuid`,
  );
  return rows[0]?.agent_id;
}

/**
 * Reads a page, newest message first.
 *
 * @param agentIds only of these agents; undefined for all.
 */
export async function listSessions(
  db: Queryable,
  agentIds: readonly string[] | undefined,
  after: SessionCursor | undefined,
  limit: number,
): Promise<SessionPage> {
  const rest =
    after === undefined ? sql`true` : sql`(s.send_time, s.id) < (${after.sendTime}::timestamptz, ${after.id}::uuid)`;
  const { rows } = await db.query<SessionRow>(selectSessions(newest(agentIds, rest, limit + 1)));
  const { page, nextPageToken } = cutPage(rows, limit, (last) => [last.cursor_time, last.id]);
  return { sessions: page.map(toSession), nextPageToken };
}

/** The newest sessions. Those of a few agents come from the index of each: in the order of all they may be far behind. */
function newest(agentIds: readonly string[] | undefined, condition: Sql, limit: number): Sql {
  const of = (agents: Sql): Sql => sql`
    SELECT s.* FROM sessions.sessions s WHERE ${agents} AND ${condition}
    ORDER BY s.send_time DESC, s.id DESC LIMIT ${limit}::bigint`;
  if (agentIds === undefined) return of(sql`true`);
  if (agentIds.length === 1) return of(sql`s.agent_id = ${agentIds[0]}`);
  if (agentIds.length > FEW_AGENTS) return of(sql`s.agent_id = ANY(${agentIds}::text[])`);
  return sql`
    SELECT s.* FROM unnest(${agentIds}::text[]) AS a (id) CROSS JOIN LATERAL (${of(sql`s.agent_id = a.id`)}) AS s
    ORDER BY s.send_time DESC, s.id DESC LIMIT ${limit}::bigint`;
}

function selectSessions(sessions: Sql): Sql {
  return sql`
    SELECT s.id, s.agent_id, s.key, s.user_id, s.channel, s.title, s.create_time, s.turn_count,
      (s.send_time AT TIME ZONE 'UTC')::text || 'Z' AS cursor_time,
      greatest(s.send_time, (SELECT max(t.end_time) FROM sessions.turns t WHERE t.session_id = s.id)) AS activity_time,
      coalesce((SELECT max(e.position) FROM sessions.transcript_entries e WHERE e.session_id = s.id), 0) AS transcript_head
    FROM (${sessions}) AS s
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
