import type { Database } from "@openhermit/postgres";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { readReports, writeReports } from "../report-store.ts";
import type { ReportMemory } from "../report-memory.ts";

const PERIOD_MS = 5000;

/** Writes what changed here, and reads what changed elsewhere; what could not be done is tried again. */
export function createSyncTask(options: {
  database: Database;
  log: Log;
  memory: ReportMemory;
  instance: string;
}): PeriodicTask {
  const { database, log, memory, instance } = options;
  return createPeriodicTask({
    name: "sync health reports",
    periodMs: PERIOD_MS,
    onError: (error) => log.debug({ err: error }, "health reports not synced"),
    async run() {
      const unwritten = memory.takeUnwritten();
      try {
        if (unwritten.length > 0) await writeReports(database, unwritten, instance);
      } catch (error) {
        memory.putBackUnwritten(unwritten);
        throw error;
      }
      const unread = memory.takeUnread();
      try {
        if (unread.length > 0) memory.merge(unread, await readReports(database, unread));
      } catch (error) {
        memory.putBackUnread(unread);
        throw error;
      }
    },
  });
}
