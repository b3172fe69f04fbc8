import { conflict } from "@openhermit/errors";
import { sql, type Queryable } from "@openhermit/postgres";

/** Takes the right to apply, to the end of the transaction. Throws APPLY_IN_PROGRESS while somebody else has it. */
export async function lockApply(tx: Queryable): Promise<void> {
  const { rows } = await tx.query<{ taken: boolean }>(
    sql`SELECT pg_try_advisory_xact_lock(hashtextextended('openhermit.manifest.apply', 0)) AS taken`,
  );
  if (rows[0]?.taken === true) return;
  throw conflict("APPLY_IN_PROGRESS", "another manifest is being applied; nothing was changed", {
    hint: "Look at what it changed, then apply again.",
  });
}

/** Makes the transaction see one moment. To be called before all else in it. */
export async function takeSnapshot(tx: Queryable): Promise<void> {
  await tx.query(sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY`);
}
