import { rawSql, type Database } from "@openhermit/postgres";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { moveRestoredRows } from "../event-store.ts";

const PERIOD_MS = 3_600_000;

/** Looks, at every connection and once an hour, whether the log came from a backup, and puts it in order. */
export function createRestoredLogTask({ database, log }: { database: Database; log: Log }): PeriodicTask {
  return createPeriodicTask({
    name: "adopt restored activity",
    periodMs: PERIOD_MS,
    onError: (error) => log.debug({ err: error }, "restored activity not looked for"),
    async run() {
      // Poked at each connection; without one there is nothing to look at.
      if (!database.status().ready) return;
      const moved = await database.transaction(async (tx) => {
        // A large log takes its time, once.
        await tx.query(rawSql("SET LOCAL statement_timeout = 0"));
        return moveRestoredRows(tx);
      });
      if (moved > 0) log.info({ events: moved }, "restored activity put in order");
    },
  });
}
