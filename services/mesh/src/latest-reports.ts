import { setTimeout as delay } from "node:timers/promises";
import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { isAway } from "./mesh-errors.ts";

/**
 * What a sidecar said of its agents, passed on one after the other off the read loop. Of each subject only the newest counts,
 * so nothing grows while the database is away.
 */
export interface LatestReports {
  /** Passes on by calling `deliver`; again, for as long as the link lasts, while it fails because a part is away. */
  post(subject: string, deliver: () => Promise<void>): void;
}

/** Creates the reports of one link. */
export function createLatestReports(options: { signal: AbortSignal; log: Log }): LatestReports {
  const { signal, log } = options;
  const waiting = new Map<string, () => Promise<void>>();
  let running = false;

  const run = async (): Promise<void> => {
    const backoff = createBackoff({ initialMs: 100, maxMs: 5000 });
    for (;;) {
      const [next] = waiting;
      if (next === undefined || signal.aborted) {
        running = false;
        return;
      }
      const [subject, deliver] = next;
      try {
        await deliver();
        backoff.reset();
      } catch (error) {
        if (isAway(error)) {
          await delay(backoff.next(), undefined, { signal, ref: false }).catch(() => {});
          continue;
        }
        log.error({ error, subject }, "report of a sidecar could not be passed on");
      }
      if (waiting.get(subject) === deliver) waiting.delete(subject);
    }
  };

  return {
    post(subject, deliver) {
      // Deleted first, so that it goes to the end and others are not starved.
      waiting.delete(subject);
      waiting.set(subject, deliver);
      if (running) return;
      running = true;
      void run();
    },
  };
}
