import type { FieldChange } from "@openhermit/caller";
import { joinSql, sql, type Queryable, type Sql } from "@openhermit/postgres";
import { AuditOutcome } from "@openhermit/protocol/access/v1/audit_record";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { AuditPlace } from "./audit-place.ts";
import type { AuditQuery } from "./audit-query.ts";
import type { NewRecord } from "./audit-record.ts";

/** The channel on which new records are announced, without a payload. */
export const AUDIT_CHANNEL = "openhermit_audit";

/** A stored record. */
export interface StoredRecord {
  readonly tx: bigint;
  readonly position: bigint;
  readonly id: string;
  readonly time: Date;
  readonly actorKind: SubjectKind;
  readonly actorId: string;
  readonly behalfKind: SubjectKind;
  readonly behalfId: string;
  readonly accessor: string;
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly outcome: AuditOutcome;
  readonly reason: string;
  readonly changes: FieldChange[];
  readonly requestId: string;
  readonly address: string;
  readonly count: bigint;
  /** From where a tail goes on behind this record. */
  readonly place: AuditPlace;
}

/** Where a page of the newest records ends: its oldest one. */
export interface PageEnd {
  readonly time: Date;
  readonly position: bigint;
}

/** A part of the trail, in the order in which it was stored. */
export interface TrailPage {
  readonly records: StoredRecord[];
  /** Up to where everything was seen: the next page is read after it. */
  readonly next: AuditPlace;
  /** Whether there may be more. */
  readonly more: boolean;
  /** Whether there are records that can't be read yet, because an older transaction still runs. */
  readonly held: boolean;
}

type Row = Omit<StoredRecord, "place">;

/** About the most bytes of changes in one answer. */
const MAX_BYTES = 2 * 1024 * 1024;

const COLUMNS = sql`
  tx, position, id, time, actor_kind AS "actorKind", actor_id AS "actorId", behalf_kind AS "behalfKind",
  behalf_id AS "behalfId", accessor, action, target_type AS "targetType", target_id AS "targetId", outcome, reason, changes,
  request_id AS "requestId", address, count, octet_length(changes::text) AS bytes`;

/** All transactions below the horizon have ended; what they stored is seen whole. */
const HORIZON = sql`pg_snapshot_xmin(pg_current_snapshot())`;

/** Positions up to it say nothing about transactions of this server. */
const RESTORED = sql`(SELECT coalesce(max(position), 0) FROM access.audit_restores)`;

/**
 * Stores records and announces them. A time more than 27 days ago or in the future is moved to where there surely is a
 * partition: nothing may be lost, and no clock may keep a mutation from being done.
 */
export async function insertRecords(db: Queryable, records: readonly NewRecord[]): Promise<void> {
  const each = <Value>(value: (record: NewRecord) => Value): Value[] => records.map(value);
  await db.query(sql`
    INSERT INTO access.audit_records (
      id, time, actor_kind, actor_id, behalf_kind, behalf_id, accessor, action, target_type, target_id, outcome, reason,
      changes, request_id, address, count)
    SELECT id, date_trunc('milliseconds', least(now.at, greatest(coalesce(time, now.at), now.at - interval '27 days'))),
      actor_kind, actor_id, behalf_kind, behalf_id, accessor, action, target_type, target_id, outcome, reason, changes,
      request_id, address, count
    FROM (SELECT statement_timestamp() AS at) AS now, unnest(
      ${each(({ id }) => id)}::uuid[], ${each(({ time }) => time)}::timestamptz[],
      ${each(({ actor }) => actor.subject.kind)}::smallint[], ${each(({ actor }) => actor.subject.id)}::text[],
      ${each(({ actor }) => actor.onBehalfOf?.kind ?? SubjectKind.UNSPECIFIED)}::smallint[],
      ${each(({ actor }) => actor.onBehalfOf?.id ?? "")}::text[], ${each(({ actor }) => actor.accessor)}::text[],
      ${each(({ action }) => action)}::text[], ${each(({ targetType }) => targetType)}::text[],
      ${each(({ targetId }) => targetId)}::text[], ${each(({ outcome }) => outcome)}::smallint[],
      ${each(({ reason }) => reason)}::text[], ${each(({ fields }) => JSON.stringify(fields))}::jsonb[],
      ${each(({ actor }) => actor.requestId)}::text[], ${each(({ actor }) => actor.address)}::text[],
      ${each(({ count }) => count)}::bigint[]
    ) AS record (
      id, time, actor_kind, actor_id, behalf_kind, behalf_id, accessor, action, target_type, target_id, outcome, reason,
      changes, request_id, address, count)
    WHERE (SELECT pg_notify(${AUDIT_CHANNEL}, '')) IS NOT NULL`);
}

/** The conditions of a query. Their texts are few, so that they stay prepared. */
function conditions(query: AuditQuery): Sql {
  const parts = [sql`true`];
  if (query.actorKind !== SubjectKind.UNSPECIFIED) parts.push(sql`actor_kind = ${query.actorKind}::smallint`);
  if (query.actorId !== "") parts.push(sql`actor_id = ${query.actorId}`);
  if (query.targetType !== "") parts.push(sql`target_type = ${query.targetType}`);
  // The second half lets the planner use the partial index.
  if (query.targetId !== "") parts.push(sql`target_id = ${query.targetId} AND target_id <> ''`);
  if (query.actionPrefix !== "") parts.push(sql`starts_with(action, ${query.actionPrefix})`);
  if (query.outcome !== AuditOutcome.UNSPECIFIED) parts.push(sql`outcome = ${query.outcome}::smallint`);
  if (query.from !== undefined) parts.push(sql`time >= ${query.from}::timestamptz`);
  if (query.before !== undefined) parts.push(sql`time < ${query.before}::timestamptz`);
  return joinSql(parts, " AND ");
}

/** Of rows in an order so many that an answer stays small, and at least one; `found` is how many there were. */
function bounded(rows: Sql, order: Sql): Sql {
  return sql`
    SELECT * FROM (
      SELECT r.*, sum(bytes) OVER (ORDER BY ${order}) - bytes AS "bytesBefore", (count(*) OVER ())::int AS found
      FROM (${rows}) AS r
    ) AS b WHERE "bytesBefore" < ${MAX_BYTES}`;
}

/**
 * The newest records that happened before the end of a page, newest first; fewer than `limit` where they are large. A tail
 * that begins at one of them may repeat some records rather than miss one.
 */
export async function readNewest(
  db: Queryable,
  query: AuditQuery,
  end: PageEnd | undefined,
  limit: number,
): Promise<{ records: StoredRecord[]; more: boolean }> {
  const older =
    end === undefined ? sql`true` : sql`(time, position) < (${end.time}::timestamptz, ${end.position}::bigint)`;
  const newest = sql`
    SELECT ${COLUMNS} FROM access.audit_records WHERE ${conditions(query)} AND ${older}
    ORDER BY time DESC, position DESC LIMIT ${limit + 1}`;
  const { rows } = await db.query<Row & { found: number; horizon: bigint }>(sql`
    SELECT e.*, ${HORIZON} AS horizon FROM (${bounded(newest, sql`time DESC, position DESC`)}) AS e
    ORDER BY time DESC, position DESC`);
  const records = rows.slice(0, limit).map(({ horizon, found: _found, ...row }) => ({
    ...row,
    place: row.tx < horizon ? { tx: row.tx, position: row.position } : { tx: horizon, position: 0n },
  }));
  return { records, more: (rows[0]?.found ?? 0) > records.length };
}

/** The records after a place, in the order in which they were stored, at most `limit`. */
export async function readAfter(
  db: Queryable,
  query: AuditQuery,
  after: AuditPlace,
  limit: number,
): Promise<TrailPage> {
  const next = sql`
    SELECT ${COLUMNS} FROM access.audit_records
    WHERE (tx, position) > (${after.tx}::xid8, ${after.position}::bigint) AND tx < h.horizon AND position > h.restored
      AND ${conditions(query)}
    ORDER BY tx, position LIMIT ${limit}`;
  const { rows } = await db.query<
    { horizon: bigint; held: boolean } & ((Row & { found: number }) | { tx: null; found: null })
  >(sql`
    SELECT h.horizon, e.*,
      EXISTS (SELECT FROM access.audit_records WHERE tx >= h.horizon AND position > h.restored) AS held
    FROM (SELECT ${HORIZON} AS horizon, ${RESTORED} AS restored) AS h
    LEFT JOIN LATERAL (${bounded(next, sql`tx, position`)}) AS e ON true
    ORDER BY e.tx, e.position`);
  const { horizon, held } = rows[0] ?? { horizon: 0n, held: false };
  const records: StoredRecord[] = [];
  for (const row of rows) {
    if (row.tx !== null) records.push({ ...row, place: { tx: row.tx, position: row.position } });
  }
  const found = rows[0]?.found ?? 0;
  const last = records.at(-1)?.place;
  const more = last !== undefined && (found === limit || found > records.length);
  const seen = more ? last : { tx: horizon, position: 0n };
  return { records, next: seen.tx < after.tx ? after : seen, more, held };
}

/** The end of the trail as it stands: a tail from here shows what is stored from now on. */
export async function readEnd(db: Queryable): Promise<AuditPlace> {
  const { rows } = await db.query<{ horizon: bigint }>(sql`SELECT ${HORIZON} AS horizon`);
  return { tx: rows[0]?.horizon ?? 0n, position: 0n };
}

/** Whether the place lies in the future of this database: it is of another one. */
export async function isFuturePlace(db: Queryable, place: AuditPlace): Promise<boolean> {
  const { rows } = await db.query<{ future: boolean }>(
    sql`SELECT ${place.tx}::xid8 > pg_snapshot_xmax(pg_current_snapshot()) AS future`,
  );
  return rows[0]?.future === true;
}

/** Makes the partitions that are missing from last month to the month `months` ahead; returns how many. */
export async function createPartitions(db: Queryable, months: number): Promise<number> {
  const { rows } = await db.query<{ made: number }>(
    sql`SELECT access.create_audit_partitions(now() + make_interval(months => ${months})) AS made`,
  );
  return rows[0]?.made ?? 0;
}

/** Drops the months that ended more than so many days ago; returns their tables. */
export async function dropPartitions(db: Queryable, days: number): Promise<string[]> {
  // In hours, for a day of the session's time zone may have 23 of them.
  const { rows } = await db.query<{ dropped: string[] }>(
    sql`SELECT access.drop_audit_partitions(now() - make_interval(hours => ${days * 24})) AS dropped`,
  );
  return rows[0]?.dropped ?? [];
}

/**
 * Notes that the records there are came from a backup of another server, when some carry transactions of this server's
 * future: no tail would see those. Returns whether it was so; normally not, at the cost of a look.
 */
export async function noteRestore(db: Queryable): Promise<boolean> {
  const { rowCount } = await db.query(sql`
    INSERT INTO access.audit_restores (position)
    SELECT max(position) FROM access.audit_records
    WHERE EXISTS (
      SELECT FROM access.audit_records
      WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()) AND position > ${RESTORED})
    HAVING max(position) IS NOT NULL
    ON CONFLICT DO NOTHING`);
  return rowCount > 0;
}
