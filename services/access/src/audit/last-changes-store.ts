import { sql, type Queryable } from "@openhermit/postgres";
import { AuditOutcome } from "@openhermit/protocol/access/v1/audit_record";
import type { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { subjectName } from "../access-call.ts";

/** What may have been changed. */
export interface ChangeTarget {
  /** As in the audit trail, for example `agent`. */
  readonly type: string;
  readonly id: string;
}

/** One change of a target, as the audit trail tells it. */
export interface LastChange {
  /** Who did it, for example `member:alice` or `local-operator`. */
  readonly actor: string;
  readonly time: Date;
  /** For example `agents.update`. */
  readonly action: string;
  /** The paths of the fields that changed; empty where the trail names none. */
  readonly paths: readonly string[];
}

/** The most changes of one target. */
const MAX_CHANGES = 20;

/**
 * The newest changes of each target that were made, newest first, at most 20 of one; by `type/id`. One statement for any
 * number of targets. A target without a change that is kept has no entry. Errors: DATABASE_UNAVAILABLE.
 */
export async function readLastChanges(
  db: Queryable,
  targets: readonly ChangeTarget[],
): Promise<Map<string, LastChange[]>> {
  const found = new Map<string, LastChange[]>();
  if (targets.length === 0) return found;
  const { rows } = await db.query<
    ChangeTarget & { kind: SubjectKind; actorId: string; time: Date; action: string; paths: string[] }
  >(sql`
    SELECT t.type, t.id, r.actor_kind AS kind, r.actor_id AS "actorId", r.time, r.action, r.paths
    FROM (
      SELECT DISTINCT type, id
      FROM unnest(${targets.map(({ type }) => type)}::text[], ${targets.map(({ id }) => id)}::text[]) AS t (type, id)
    ) AS t
    CROSS JOIN LATERAL (
      SELECT actor_kind, actor_id, time, position, action,
        ARRAY(SELECT change->>'path' FROM jsonb_array_elements(changes) AS change) AS paths
      FROM access.audit_records
      -- The second half lets the planner use the partial index.
      WHERE target_id = t.id AND target_id <> '' AND target_type = t.type AND outcome = ${AuditOutcome.DONE}::smallint
      ORDER BY time DESC, position DESC LIMIT ${MAX_CHANGES}
    ) AS r
    ORDER BY t.type, t.id, r.time DESC, r.position DESC`);
  for (const { type, id, kind, actorId, ...change } of rows) {
    const { time, action, paths } = change;
    const key = `${type}/${id}`;
    const changes = found.get(key) ?? [];
    if (changes.length === 0) found.set(key, changes);
    changes.push({ actor: subjectName({ kind, id: actorId }), time, action, paths });
  }
  return found;
}
