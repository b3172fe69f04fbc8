import { sql, type Queryable } from "@openhermit/postgres";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { SubjectRef } from "../principal.ts";

/** Whether there is such a member, service account or team. */
export async function subjectExists(db: Queryable, { kind, id }: SubjectRef): Promise<boolean> {
  const { rows } = await db.query<{ exists: boolean }>(sql`
    SELECT CASE ${kind}::int
      WHEN ${SubjectKind.MEMBER} THEN EXISTS (SELECT 1 FROM access.members WHERE id = ${id})
      WHEN ${SubjectKind.SERVICE_ACCOUNT} THEN EXISTS (SELECT 1 FROM access.service_accounts WHERE id = ${id})
      WHEN ${SubjectKind.TEAM} THEN EXISTS (SELECT 1 FROM access.teams WHERE id = ${id})
      ELSE false
    END AS exists`);
  return rows[0]?.exists === true;
}
