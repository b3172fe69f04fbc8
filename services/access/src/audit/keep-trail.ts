import type { Queryable } from "@openhermit/postgres";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { createPartitions, dropPartitions, noteRestore } from "./audit-store.ts";

/** How many months there is room ahead. */
const MONTHS_AHEAD = 2;
const PERIOD_MS = 3_600_000;

/** Makes room for this month and the next two, and drops what is older than the retention. Idempotent. */
export async function keepTrail(
  database: Queryable,
  { retentionDays, log }: { retentionDays: number; log: Log },
): Promise<void> {
  const made = await createPartitions(database, MONTHS_AHEAD);
  if (made > 0) log.info({ made }, "audit partitions created");
  if (await noteRestore(database)) log.info("audit trail of another server adopted");
  const dropped = await dropPartitions(database, retentionDays);
  if (dropped.length > 0) log.info({ dropped }, "audit partitions dropped");
}

/** Keeps the trail once an hour, and when poked. */
export function createKeepTrailTask(database: Queryable, options: { retentionDays: number; log: Log }): PeriodicTask {
  return createPeriodicTask({
    name: "keep audit trail",
    periodMs: PERIOD_MS,
    onError: (error) => options.log.warn({ err: error }, "audit trail not kept"),
    run: () => keepTrail(database, options),
  });
}
