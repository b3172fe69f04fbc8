import { sql, type Queryable } from "@openhermit/postgres";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";
import type { ServiceAccountTraits, StoredServiceAccount } from "./service-account.ts";

interface Row extends Omit<StoredServiceAccount, "creator"> {
  creatorKind: SubjectKind;
  creatorId: string;
}

const KIND = SubjectKind.SERVICE_ACCOUNT;
const COLUMNS = sql`a.id, a.display_name AS "displayName", a.role, a.disabled, a.creator_kind AS "creatorKind",
  a.creator_id AS "creatorId", a.create_time AS "createTime", ARRAY(
    SELECT m.team_id FROM access.team_members m WHERE m.kind = ${KIND} AND m.subject_id = a.id ORDER BY m.team_id) AS "teamIds"`;

/** Stores a service account; false when the id is in use. */
export async function insertServiceAccount(
  tx: Queryable,
  id: string,
  { displayName, role, disabled }: ServiceAccountTraits,
  creator: SubjectRef,
): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO access.service_accounts (id, display_name, role, disabled, creator_kind, creator_id)
    VALUES (${id}, ${displayName}, ${role}, ${disabled}, ${creator.kind}, ${creator.id}) ON CONFLICT DO NOTHING`);
  return rowCount === 1;
}

/** One service account. */
export async function readServiceAccount(db: Queryable, id: string): Promise<StoredServiceAccount | undefined> {
  const { rows } = await db.query<Row>(sql`SELECT ${COLUMNS} FROM access.service_accounts a WHERE a.id = ${id}`);
  return rows[0] && toAccount(rows[0]);
}

/** Up to `limit` service accounts after an id, ordered. */
export async function listServiceAccounts(
  db: Queryable,
  afterId: string,
  limit: number,
): Promise<StoredServiceAccount[]> {
  const { rows } = await db.query<Row>(sql`
    SELECT ${COLUMNS} FROM access.service_accounts a WHERE a.id > ${afterId}::text COLLATE "C" ORDER BY a.id LIMIT ${limit}`);
  return rows.map(toAccount);
}

/** Changes a service account. */
export async function updateServiceAccount(
  tx: Queryable,
  id: string,
  { displayName, role, disabled }: ServiceAccountTraits,
): Promise<void> {
  await tx.query(sql`
    UPDATE access.service_accounts SET display_name = ${displayName}, role = ${role}, disabled = ${disabled} WHERE id = ${id}`);
}

/** Removes a service account with its memberships and grants. */
export async function deleteServiceAccount(tx: Queryable, id: string): Promise<void> {
  await tx.query(sql`DELETE FROM access.team_members WHERE kind = ${KIND} AND subject_id = ${id}`);
  await tx.query(sql`DELETE FROM access.grants WHERE kind = ${KIND} AND subject_id = ${id}`);
  await tx.query(sql`DELETE FROM access.service_accounts WHERE id = ${id}`);
}

function toAccount({ creatorKind, creatorId, ...rest }: Row): StoredServiceAccount {
  return { ...rest, creator: { kind: creatorKind, id: creatorId } };
}
