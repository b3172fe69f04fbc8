import { sql, type Queryable } from "@openhermit/postgres";
import { MemberState } from "@openhermit/protocol/access/v1/member";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";

/** A browser session as stored. */
export interface StoredSession {
  /** SHA-256 of the secret id. */
  readonly idHash: Buffer;
  readonly subject: SubjectRef;
  readonly loginTime: Date;
  readonly lastUseTime: Date;
  readonly expireTime: Date;
}

interface SessionRow extends Omit<StoredSession, "subject"> {
  kind: SubjectKind;
  subjectId: string;
}

/** Stores a new session. */
export async function insertSession(
  tx: Queryable,
  session: StoredSession,
  client: { address: string; userAgent: string },
): Promise<void> {
  const { idHash, subject, loginTime, lastUseTime, expireTime } = session;
  await tx.query(sql`
    INSERT INTO access.sessions
      (id_hash, kind, subject_id, login_time, last_use_time, expire_time, address, user_agent)
    VALUES (${idHash}, ${subject.kind}, ${subject.id}, ${loginTime}, ${lastUseTime}, ${expireTime},
      ${client.address}, ${client.userAgent})`);
}

/** A session that has neither expired nor lain idle since `usedAfter`, and whose member may log in. */
export async function readSession(
  db: Queryable,
  idHash: Buffer,
  { now, usedAfter }: { now: Date; usedAfter: Date },
): Promise<StoredSession | undefined> {
  const { rows } = await db.query<SessionRow>(sql`
    SELECT s.id_hash AS "idHash", s.kind, s.subject_id AS "subjectId", s.login_time AS "loginTime",
      s.last_use_time AS "lastUseTime", s.expire_time AS "expireTime"
    FROM access.sessions s LEFT JOIN access.members m ON s.kind = ${SubjectKind.MEMBER} AND m.id = s.subject_id
    WHERE s.id_hash = ${idHash} AND s.expire_time > ${now} AND s.last_use_time > ${usedAfter}
      AND (s.kind = ${SubjectKind.LOCAL_OPERATOR} OR m.state = ${MemberState.ACTIVE})`);
  const [row] = rows;
  if (row === undefined) return undefined;
  const { kind, subjectId, ...session } = row;
  return { ...session, subject: { kind, id: subjectId } };
}

/** Which of these sessions there still are, hex. */
export async function readSessionIds(db: Queryable, sessionIds: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ id: string }>(sql`
    SELECT encode(id_hash, 'hex') AS id FROM access.sessions
    WHERE id_hash IN (SELECT decode(id, 'hex') FROM unnest(${sessionIds}::text[]) AS id)`);
  return new Set(rows.map(({ id }) => id));
}

/** Says that a session was used; a time before what is stored changes nothing. */
export async function touchSession(db: Queryable, idHash: Buffer, time: Date): Promise<void> {
  await db.query(
    sql`UPDATE access.sessions SET last_use_time = ${time} WHERE id_hash = ${idHash} AND last_use_time < ${time}`,
  );
}

/** Ends a session; false when there is none. */
export async function deleteSession(tx: Queryable, idHash: Buffer): Promise<boolean> {
  const { rowCount } = await tx.query(sql`DELETE FROM access.sessions WHERE id_hash = ${idHash}`);
  return rowCount > 0;
}

/** Ends the sessions of a subject, except one where given; their ids, hex. */
export async function deleteSessionsOf(tx: Queryable, { kind, id }: SubjectRef, except = ""): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>(sql`
    DELETE FROM access.sessions WHERE kind = ${kind} AND subject_id = ${id} AND id_hash <> decode(${except}, 'hex')
    RETURNING encode(id_hash, 'hex') AS id`);
  return rows.map((row) => row.id);
}

/** Removes sessions that ended by themselves. */
export async function deleteEndedSessions(
  tx: Queryable,
  { now, usedAfter }: { now: Date; usedAfter: Date },
): Promise<void> {
  await tx.query(sql`DELETE FROM access.sessions WHERE expire_time <= ${now} OR last_use_time <= ${usedAfter}`);
}
