import type { Database } from "@openhermit/postgres";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { removeUnusedBundles } from "../bundle-store.ts";

const PERIOD_MS = 3_600_000;

/** Removes bundles that no skill has named for a day. Gateways that do it at once do no harm. */
export function createUnusedBundlesTask({ database, log }: { database: Database; log: Log }): PeriodicTask {
  return createPeriodicTask({
    name: "remove unused bundles",
    periodMs: PERIOD_MS,
    onError: (error) => log.debug({ err: error }, "unused bundles not removed"),
    async run() {
      const count = await removeUnusedBundles(database);
      if (count > 0) log.info({ count }, "unused bundles removed");
    },
  });
}
