import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { isUuid } from "@openhermit/ids";
import { sql, type Queryable, type Sql } from "@openhermit/postgres";
import { TranscriptEntrySchema, type TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";

/** Entries as they are read, bounded. */
export interface EntryPage {
  readonly entries: TranscriptEntry[];
  /** Whether there are more after the last. */
  readonly more: boolean;
}

/** Bounds of a page. At least one entry is returned if there is any. */
export interface PageBounds {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/**
 * Stores entries, as part of a statement. An entry belongs to the session of its turn, whatever it says itself, or is left out; so is
 * one of a turn that had ended before: its sidecar was told that the turn is no longer its own.
 *
 * The first entry of a position stays. The outbox cursor already drops what is sent again, so a second one can only come from an attempt
 * that was given up while its sidecar was away, after the attempt that replaced it had gone on from the same position.
 */
export function entryInsertStatement(entries: readonly TranscriptEntry[]): Sql {
  return sql`
    INSERT INTO sessions.transcript_entries (session_id, position, turn_id, entry)
    SELECT t.session_id, e.position, t.id, e.entry
    FROM unnest(
      ${entries.map((entry) => entry.sessionId)}::uuid[], ${entries.map((entry) => entry.position)}::bigint[],
      ${entries.map((entry) => entry.turnId)}::uuid[], ${entries.map((entry) => bytesOf(entry))}::bytea[]
    ) AS e (session_id, position, turn_id, entry)
    JOIN sessions.turns t ON t.id = e.turn_id AND t.session_id = e.session_id AND t.state < 4
    WHERE e.position > 0
    ON CONFLICT (session_id, position) DO NOTHING`;
}

function bytesOf(entry: TranscriptEntry): Buffer {
  const bytes = toBinary(TranscriptEntrySchema, entry);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Entries of a session after a position, in order. */
export async function listEntries(
  db: Queryable,
  sessionId: string,
  after: bigint,
  bounds: PageBounds,
): Promise<EntryPage> {
  return readPage(db, sql`e.session_id = ${sessionId}::uuid AND e.position > ${after}::bigint`, bounds);
}

/** Entries of one turn after a position, in order. */
export async function listTurnEntries(
  db: Queryable,
  turn: { readonly sessionId: string; readonly turnId: string },
  after: bigint,
  bounds: PageBounds,
): Promise<EntryPage> {
  const of = sql`e.session_id = ${turn.sessionId}::uuid AND e.position > ${after}::bigint AND e.turn_id = ${turn.turnId}::uuid`;
  return readPage(db, of, bounds);
}

/** Entries of a session after a position, in order; none when the session is not of one of the agents. Any text may be asked for. */
export async function listEntriesForAgents(
  db: Queryable,
  agentIds: readonly string[],
  sessionId: string,
  after: bigint,
  bounds: PageBounds,
): Promise<EntryPage> {
  if (!isUuid(sessionId)) return { entries: [], more: false };
  const of = sql`e.session_id = ${sessionId}::uuid AND e.position > ${after}::bigint AND EXISTS (
    SELECT FROM sessions.sessions s WHERE s.id = ${sessionId}::uuid AND s.agent_id = ANY(${agentIds}::text[]))`;
  return readPage(db, of, bounds);
}

/** New entries of several turns, each after its own position, in the order of each session; of each turn at most 100. */
export async function listNewEntries(
  db: Queryable,
  turns: readonly { readonly sessionId: string; readonly turnId: string; readonly after: bigint }[],
): Promise<TranscriptEntry[]> {
  const { rows } = await db.query<{ entry: Buffer }>(sql`
    SELECT e.entry
    FROM unnest(${turns.map((turn) => turn.sessionId)}::uuid[], ${turns.map((turn) => turn.turnId)}::uuid[],
      ${turns.map((turn) => turn.after)}::bigint[]) AS w (session_id, turn_id, after)
    CROSS JOIN LATERAL (
      SELECT n.entry, n.position FROM sessions.transcript_entries n
      WHERE n.session_id = w.session_id AND n.position > w.after AND n.turn_id = w.turn_id
      ORDER BY n.position LIMIT 100
    ) AS e ORDER BY w.turn_id, e.position`);
  return rows.map(({ entry }) => fromBinary(TranscriptEntrySchema, entry));
}

async function readPage(db: Queryable, where: Sql, { maxEntries, maxBytes }: PageBounds): Promise<EntryPage> {
  const { rows } = await db.query<{ entry: Buffer | null }>(sql`
    SELECT CASE WHEN bytes_before < ${maxBytes}::bigint AND row <= ${maxEntries}::bigint THEN entry END AS entry
    FROM (
      SELECT entry, position, row_number() OVER w AS row, sum(length(entry)) OVER w - length(entry) AS bytes_before
      FROM (
        SELECT e.entry, e.position FROM sessions.transcript_entries e WHERE ${where}
        ORDER BY e.position LIMIT ${maxEntries}::bigint + 1
      ) AS page WINDOW w AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
    ) AS counted ORDER BY position`);
  const entries: TranscriptEntry[] = [];
  for (const { entry } of rows) {
    if (entry === null) return { entries, more: true };
    entries.push(fromBinary(TranscriptEntrySchema, entry));
  }
  return { entries, more: false };
}
