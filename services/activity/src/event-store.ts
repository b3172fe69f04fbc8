import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { joinSql, sql, type Queryable, type Sql } from "@openhermit/postgres";
import { EventSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import { searchTextOf, timeOf, typeOf } from "./event.ts";
import type { EventQuery } from "./event-query.ts";
import type { PageEnd } from "./page-token.ts";
import { laterPlace, type Place } from "./place.ts";

/** What no agent is called: an agent out of reach is looked for by it, with the same statement as any other. */
const NO_AGENT = "-";
/** Of so many agents in reach the newest events are read one agent after the other. */
const FEW_AGENTS = 100;

/** The channel on which new events are announced; the payload is the instance that stored them. */
export const ACTIVITY_CHANNEL = "openhermit_activity";

/** A stored event. */
export interface LogEntry {
  readonly place: Place;
  readonly at: Date;
  readonly event: Event;
  /** The size of the event, in bytes. */
  readonly bytes: number;
}

/** A part of the log, in its order. */
export interface LogPage {
  readonly entries: LogEntry[];
  /** Up to where everything was seen: the next page is read after it. */
  readonly next: Place;
  /** Whether the page is full, so that there may be more. */
  readonly more: boolean;
  /** Whether there are events that cannot be read yet, because an older transaction still runs. */
  readonly held: boolean;
}

interface EventRow {
  tx: bigint;
  position: bigint;
  at: Date;
  detail: Buffer;
}

type JoinedRow = { horizon: bigint; held: boolean } & (EventRow | { tx: null });

function toEntry({ tx, position, at, detail }: EventRow): LogEntry {
  return { place: { tx, position }, at, event: fromBinary(EventSchema, detail), bytes: detail.length };
}

/** PostgreSQL stores no NUL character in a text. */
function clean(text: string): string {
  return text.replaceAll("\0", "");
}

/** Stores events and announces them. Without events it changes nothing. May stand in a WITH of a larger statement. */
export function insertEvents(events: readonly Event[], instance: string): Sql {
  return sql`
    INSERT INTO activity.events (at, agent_id, user_id, session_id, turn_id, type, text, detail)
    SELECT * FROM unnest(
      ${events.map(timeOf)}::timestamptz[], ${events.map((event) => clean(event.agentId))}::text[],
      ${events.map((event) => clean(event.userId))}::text[], ${events.map((event) => clean(event.sessionId))}::text[],
      ${events.map((event) => clean(event.turnId))}::text[], ${events.map(typeOf)}::smallint[],
      ${events.map((event) => clean(searchTextOf(event)))}::text[],
      ${events.map((event) => toBinary(EventSchema, event))}::bytea[])
    WHERE (SELECT pg_notify(${ACTIVITY_CHANNEL}, ${instance})) IS NOT NULL`;
}

function escapePattern(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
}

/** The conditions of a query. Their texts are few, so that they stay prepared. */
function conditions(query: EventQuery): Sql {
  return sql`${ofAgents(query)} AND ${ofContent(query)}`;
}

function ofAgents({ agentId, reach }: EventQuery): Sql {
  if (agentId !== "") return sql`agent_id = ${reach.has(agentId) ? agentId : NO_AGENT}`;
  return reach.all ? sql`true` : sql`agent_id = ANY(${reach.ids()}::text[])`;
}

function ofContent(query: EventQuery): Sql {
  const parts = [sql`true`];
  // The second half lets the planner use the partial index.
  if (query.userId !== "") parts.push(sql`user_id = ${query.userId} AND user_id <> ''`);
  if (query.sessionId !== "") parts.push(sql`session_id = ${query.sessionId} AND session_id <> ''`);
  if (query.turnId !== "") parts.push(sql`turn_id = ${query.turnId} AND turn_id <> ''`);
  if (query.types.length > 0) parts.push(sql`type = ANY(${query.types}::smallint[])`);
  if (query.from !== undefined) parts.push(sql`at >= ${query.from}::timestamptz`);
  if (query.before !== undefined) parts.push(sql`at < ${query.before}::timestamptz`);
  if (query.text !== "") parts.push(sql`text LIKE ${escapePattern(clean(query.text))}`);
  return joinSql(parts, " AND ");
}

/**
 * The newest events of a query that fulfil a condition more, newest first.
 *
 * Those of a few agents come from the index of each: in the order of the whole log they may be far behind all others.
 */
function newest(query: EventQuery, condition: Sql, limit: number): Sql {
  const of = (agents: Sql): Sql => sql`
    SELECT tx, position, at, detail FROM activity.events WHERE ${agents} AND ${ofContent(query)} AND ${condition}
    ORDER BY at DESC, position DESC LIMIT ${limit}`;
  const isNarrow = `${query.agentId}${query.userId}${query.sessionId}${query.turnId}` !== "";
  if (isNarrow || query.reach.all) return of(ofAgents(query));
  const agentIds = new Set(query.reach.ids());
  if (agentIds.size > FEW_AGENTS) return of(ofAgents(query));
  return sql`
    SELECT e.* FROM unnest(${[...agentIds]}::text[]) AS a (id) CROSS JOIN LATERAL (${of(sql`agent_id = a.id`)}) AS e
    ORDER BY e.at DESC, e.position DESC LIMIT ${limit}`;
}

/** All transactions below the horizon have ended; what they stored is seen whole. */
const HORIZON = sql`(SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon)`;

async function readJoined(
  db: Queryable,
  statement: Sql,
): Promise<{ horizon: bigint; held: boolean; entries: LogEntry[] }> {
  const { rows } = await db.query<JoinedRow>(statement);
  const { horizon, held } = rows[0] ?? { horizon: 0n, held: false };
  return { horizon, held, entries: rows.filter((row) => row.tx !== null).map(toEntry) };
}

/** The events after a place, in the order of the log, at most `limit`. */
export async function readAfter(db: Queryable, query: EventQuery, after: Place, limit: number): Promise<LogPage> {
  const { horizon, held, entries } = await readJoined(
    db,
    sql`
    SELECT h.horizon, EXISTS (SELECT FROM activity.events WHERE tx >= h.horizon) AS held, e.*
    FROM ${HORIZON} AS h LEFT JOIN LATERAL (
      SELECT tx, position, at, detail FROM activity.events
      WHERE (tx, position) > (${after.tx}::xid8, ${after.position}::bigint) AND tx < h.horizon AND ${conditions(query)}
      ORDER BY tx, position LIMIT ${limit}
    ) AS e ON true
    ORDER BY e.tx, e.position`,
  );
  const more = entries.length === limit;
  const seen = more ? entries.at(-1)?.place : { tx: horizon, position: 0n };
  return { entries, next: laterPlace(after, seen ?? after), more, held };
}

/** The `count` newest events of the log as it stands, in its order; the page ends where the log ends. */
export async function readLast(db: Queryable, query: EventQuery, count: number): Promise<LogPage> {
  const { horizon, held, entries } = await readJoined(
    db,
    sql`
    SELECT h.horizon, EXISTS (SELECT FROM activity.events WHERE tx >= h.horizon) AS held, e.*
    FROM ${HORIZON} AS h LEFT JOIN LATERAL (${newest(query, sql`tx < h.horizon`, count)}) AS e ON true
    ORDER BY e.tx, e.position`,
  );
  return { entries, next: { tx: horizon, position: 0n }, more: false, held };
}

/**
 * The newest events that happened before the end of a page, newest first. The place of an event beyond the horizon is
 * moved back to it: a tail from there repeats some events rather than miss one.
 */
export async function readNewest(
  db: Queryable,
  query: EventQuery,
  end: PageEnd | undefined,
  limit: number,
): Promise<(LogEntry & { end: PageEnd })[]> {
  const older = end === undefined ? sql`true` : sql`(at, position) < (${end.at}::timestamptz, ${end.position}::bigint)`;
  const { rows } = await db.query<EventRow & { horizon: bigint }>(sql`
    SELECT e.*, pg_snapshot_xmin(pg_current_snapshot()) AS horizon
    FROM (${newest(query, older, limit)}) AS e ORDER BY e.at DESC, e.position DESC`);
  return rows.map((row) => {
    const entry = { ...toEntry(row), end: { at: row.at, position: row.position } };
    return row.tx < row.horizon ? entry : { ...entry, place: { tx: row.horizon, position: 0n } };
  });
}

/** Whether the place lies in the future of this database: it is of another one. */
export async function isFuturePlace(db: Queryable, place: Place): Promise<boolean> {
  const { rows } = await db.query<{ future: boolean }>(
    sql`SELECT ${place.tx}::xid8 > pg_snapshot_xmax(pg_current_snapshot()) AS future`,
  );
  return rows[0]?.future === true;
}

/**
 * Puts rows that were restored from a backup of another server before all new ones: their transaction numbers may lie in
 * this server's future, where no tail would see them. Returns how many were moved; normally none, at the cost of a look.
 */
export async function moveRestoredRows(db: Queryable): Promise<number> {
  const { rowCount } = await db.query(sql`
    UPDATE activity.events SET tx = '0'
    WHERE tx > '0' AND EXISTS (
      SELECT FROM activity.events WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()))`);
  return rowCount;
}
