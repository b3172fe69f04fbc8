import { newCode } from "@openhermit/ids";
import { sql, type Queryable } from "@openhermit/postgres";
import type { NewCode } from "../access-ports.ts";
import { CODE_LIFETIME_MS, hashSecret, type CodeKind } from "./one-time-code.ts";

/** What a code was made for. */
export interface CodeContent {
  /** Whose it is; empty: nobody's, or the local operator's. */
  readonly memberId: string;
  readonly detail: Readonly<Record<string, string>>;
}

/** Makes a code and stores its hash. */
export async function createCode(
  tx: Queryable,
  kind: CodeKind,
  { memberId, detail }: CodeContent,
  now: Date,
): Promise<NewCode> {
  const code = newCode();
  const expireTime = new Date(now.getTime() + CODE_LIFETIME_MS[kind]);
  await tx.query(sql`
    INSERT INTO access.one_time_codes (hash, kind, member_id, detail, expire_time)
    VALUES (${hashSecret(code)}, ${kind}, ${memberId}, ${JSON.stringify(detail)}::jsonb, ${expireTime})`);
  return { code, expireTime };
}

/** Reads a code without using it; undefined when it would not work. */
export async function readCode(
  db: Queryable,
  kind: CodeKind,
  code: string,
  now: Date,
): Promise<CodeContent | undefined> {
  const { rows } = await db.query<CodeContent>(sql`
    SELECT member_id AS "memberId", detail FROM access.one_time_codes
    WHERE hash = ${hashSecret(code)} AND kind = ${kind} AND expire_time > ${now}`);
  return rows[0];
}

/** Uses a code: of many at once one gets its content, undefined for the others and when it does not work. */
export async function consumeCode(
  tx: Queryable,
  kind: CodeKind,
  code: string,
  now: Date,
): Promise<CodeContent | undefined> {
  const { rows } = await tx.query<CodeContent>(sql`
    DELETE FROM access.one_time_codes
    WHERE hash = ${hashSecret(code)} AND kind = ${kind} AND expire_time > ${now}
    RETURNING member_id AS "memberId", detail`);
  return rows[0];
}

/** Removes the codes of a kind of a member. */
export async function deleteCodesOf(tx: Queryable, memberId: string, kind: CodeKind): Promise<void> {
  await tx.query(sql`DELETE FROM access.one_time_codes WHERE member_id = ${memberId} AND kind = ${kind}`);
}

/** Removes all codes of a member. */
export async function deleteAllCodesOf(tx: Queryable, memberId: string): Promise<void> {
  await tx.query(sql`DELETE FROM access.one_time_codes WHERE member_id = ${memberId}`);
}

/** Removes the codes of a kind, whoever's they are. */
export async function deleteCodes(tx: Queryable, kind: CodeKind): Promise<void> {
  await tx.query(sql`DELETE FROM access.one_time_codes WHERE kind = ${kind}`);
}

/** Removes codes that are too old. */
export async function deleteExpiredCodes(tx: Queryable, now: Date): Promise<void> {
  await tx.query(sql`DELETE FROM access.one_time_codes WHERE expire_time <= ${now}`);
}
