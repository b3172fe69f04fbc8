import { joinSql, sql, type Queryable, type Sql } from "@openhermit/postgres";
import type { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";
import type { StoredToken } from "./token.ts";

interface TokenRow extends Omit<StoredToken, "subject" | "creator"> {
  subjectKind: SubjectKind;
  subjectId: string;
  creatorKind: SubjectKind;
  creatorId: string;
}

/** One use of a token. */
export interface TokenUse {
  readonly accessor: string;
  readonly time: Date;
  readonly address: string;
}

/** Which tokens a list has. */
export interface TokenFilter {
  /** Only those of this subject, or made by it; undefined: all. */
  readonly of: SubjectRef | undefined;
  /** Only those that stand for this subject; undefined: all. */
  readonly subject: SubjectRef | undefined;
  readonly includeEnded: boolean;
}

/** The place of the last token of a page. */
export interface TokenPlace {
  readonly createTime: Date;
  readonly accessor: string;
}

// Made with milliseconds, so that the key of a page says exactly where it ends.
const COLUMNS = sql`accessor, name, subject_kind AS "subjectKind", subject_id AS "subjectId", creator_kind AS "creatorKind",
  creator_id AS "creatorId", parent_accessor AS "parentAccessor", scopes, login, create_time AS "createTime",
  expire_time AS "expireTime", last_use_time AS "lastUseTime", last_use_address AS "lastUseAddress",
  revoke_time AS "revokeTime"`;

/** Stores a new token. */
export async function insertToken(tx: Queryable, hash: Buffer, token: StoredToken): Promise<void> {
  const { accessor, name, subject, creator, parentAccessor, scopes, login, createTime, expireTime } = token;
  await tx.query(sql`
    INSERT INTO access.tokens (accessor, hash, name, subject_kind, subject_id, creator_kind, creator_id,
      parent_accessor, scopes, login, create_time, expire_time)
    VALUES (${accessor}, ${hash}, ${name}, ${subject.kind}, ${subject.id}, ${creator.kind}, ${creator.id},
      ${parentAccessor}, ${scopes}::text[], ${login}, ${createTime}, ${expireTime})`);
}

/** The token of a hash, if it works still. */
export async function readLiveToken(db: Queryable, hash: Buffer): Promise<StoredToken | undefined> {
  const { rows } = await db.query<TokenRow>(sql`
    SELECT ${COLUMNS} FROM access.tokens WHERE hash = ${hash} AND revoke_time IS NULL AND expire_time > now()`);
  return rows[0] && toToken(rows[0]);
}

/** A token by its accessor, ended ones too. */
export async function readToken(db: Queryable, accessor: string): Promise<StoredToken | undefined> {
  const { rows } = await db.query<TokenRow>(sql`SELECT ${COLUMNS} FROM access.tokens WHERE accessor = ${accessor}`);
  return rows[0] && toToken(rows[0]);
}

/** How many tokens of a subject work still. */
export async function countLiveTokens(db: Queryable, { kind, id }: SubjectRef): Promise<number> {
  const { rows } = await db.query<{ count: number }>(sql`
    SELECT count(*)::int AS count FROM access.tokens
    WHERE subject_kind = ${kind} AND subject_id = ${id} AND revoke_time IS NULL AND expire_time > now()`);
  return rows[0]?.count ?? 0;
}

/** Up to `limit` tokens, newest first, after a place. */
export async function listTokens(
  db: Queryable,
  { of, subject, includeEnded }: TokenFilter,
  after: TokenPlace | undefined,
  limit: number,
): Promise<StoredToken[]> {
  const conditions: Sql[] = [sql`true`];
  if (of !== undefined) {
    conditions.push(
      sql`((subject_kind = ${of.kind} AND subject_id = ${of.id}) OR (creator_kind = ${of.kind} AND creator_id = ${of.id}))`,
    );
  }
  if (subject !== undefined) conditions.push(sql`subject_kind = ${subject.kind} AND subject_id = ${subject.id}`);
  if (!includeEnded) conditions.push(sql`revoke_time IS NULL AND expire_time > now()`);
  if (after !== undefined) {
    conditions.push(sql`(create_time, accessor) < (${after.createTime}, ${after.accessor}::text COLLATE "C")`);
  }
  const { rows } = await db.query<TokenRow>(sql`
    SELECT ${COLUMNS} FROM access.tokens WHERE ${joinSql(conditions, " AND ")}
    ORDER BY create_time DESC, accessor DESC LIMIT ${limit}`);
  return rows.map(toToken);
}

/** Revokes tokens and all that were made with them; the accessors of those that worked until now. */
export async function revokeTokenTrees(tx: Queryable, accessors: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ accessor: string }>(sql`
    WITH RECURSIVE tree AS (
      SELECT unnest(${accessors}::text[]) COLLATE "C" AS accessor
      UNION
      SELECT t.accessor FROM access.tokens t JOIN tree ON t.parent_accessor = tree.accessor
    )
    UPDATE access.tokens t SET revoke_time = now() FROM tree
    WHERE t.accessor = tree.accessor AND t.revoke_time IS NULL
    RETURNING t.accessor`);
  return rows.map(({ accessor }) => accessor);
}

/** The tokens that stand for a subject or were made by it, and are not revoked; `loginOnly`: those of `hermit login`. */
export async function readAccessorsOf(
  tx: Queryable,
  { kind, id }: SubjectRef,
  { loginOnly }: { loginOnly: boolean },
): Promise<string[]> {
  const { rows } = await tx.query<{ accessor: string }>(sql`
    SELECT accessor FROM access.tokens
    WHERE ((subject_kind = ${kind} AND subject_id = ${id}) OR (creator_kind = ${kind} AND creator_id = ${id}))
      AND revoke_time IS NULL AND (login OR NOT ${loginOnly}::boolean)`);
  return rows.map(({ accessor }) => accessor);
}

/** Of these tokens, those that work no longer, or are gone. */
export async function readEndedTokens(db: Queryable, accessors: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ accessor: string }>(sql`
    SELECT asked.accessor FROM unnest(${accessors}::text[]) AS asked (accessor)
    LEFT JOIN access.tokens t ON t.accessor = asked.accessor COLLATE "C"
    WHERE t.accessor IS NULL OR t.revoke_time IS NOT NULL OR t.expire_time <= now()`);
  return rows.map(({ accessor }) => accessor);
}

/** Stores when and from where tokens were used, unless another gateway did so within a minute. One statement. */
export async function storeTokenUses(db: Queryable, uses: readonly TokenUse[]): Promise<void> {
  await db.query(sql`
    UPDATE access.tokens t SET last_use_time = used.time, last_use_address = used.address
    FROM unnest(
      ${uses.map(({ accessor }) => accessor)}::text[],
      ${uses.map(({ time }) => time)}::timestamptz[],
      ${uses.map(({ address }) => address)}::text[]
    ) AS used (accessor, time, address)
    WHERE t.accessor = used.accessor COLLATE "C"
      AND (t.last_use_time IS NULL OR t.last_use_time <= used.time - interval '1 minute')`);
}

/** Removes tokens that ended more than 30 days ago. Returns how many. */
export async function deleteOldTokens(db: Queryable): Promise<number> {
  const { rowCount } = await db.query(sql`
    DELETE FROM access.tokens WHERE least(revoke_time, expire_time) < now() - interval '30 days'`);
  return rowCount;
}

function toToken({ subjectKind, subjectId, creatorKind, creatorId, ...rest }: TokenRow): StoredToken {
  return { ...rest, subject: { kind: subjectKind, id: subjectId }, creator: { kind: creatorKind, id: creatorId } };
}
