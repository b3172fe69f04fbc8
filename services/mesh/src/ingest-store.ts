import { joinSql, rawSql, sql, type Queryable, type Sql } from "@openhermit/postgres";
import type { Share } from "./cursor.ts";

/** The share of one sidecar in a flush. */
export interface SidecarShare extends Share {
  readonly sidecarId: string;
}

/**
 * Moves the cursors of all shares and runs the statements of the domains, all in one statement. When an epoch, a ledger or
 * a cursor is not as expected nothing of it happens, and it fails with an error for which {@link isStale} is true.
 */
export async function flushShares(
  db: Queryable,
  shares: readonly SidecarShare[],
  fragments: readonly Sql[],
): Promise<void> {
  const parts: Sql[] = [
    sql`WITH advanced AS (
      UPDATE mesh.outboxes AS o SET cursor = share.up_to
      FROM unnest(
        ${shares.map((share) => share.sidecarId)}::text[], ${shares.map((share) => share.epoch)}::bigint[],
        ${shares.map((share) => share.ledgerId)}::text[], ${shares.map((share) => share.after)}::bigint[],
        ${shares.map((share) => share.upTo)}::bigint[]) AS share (sidecar_id, epoch, ledger_id, after, up_to)
      WHERE o.sidecar_id = share.sidecar_id AND o.epoch = share.epoch AND o.ledger_id = share.ledger_id
        AND o.cursor = share.after
      RETURNING 1)`,
  ];
  for (let i = 0; i < fragments.length; i++) parts.push(rawSql(`, part_${i} AS (`), fragments[i] as Sql, rawSql(")"));
  parts.push(sql` SELECT mesh.require_fresh((SELECT count(*) FROM advanced) = ${shares.length}::bigint)`);
  await db.query(joinSql(parts, ""));
}

function sqlState(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const code = (at as { code?: unknown }).code;
    if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code)) return code;
  }
  return "";
}

/** Whether the flush was refused because an epoch, a ledger or a cursor has moved. */
export function isStale(error: unknown): boolean {
  return sqlState(error) === "OHM01";
}

/** Whether the flush was refused because of what is in an entry: data, constraint, cardinality or size. */
export function isBadData(error: unknown): boolean {
  return /^(21|22|23|54)/.test(sqlState(error));
}
