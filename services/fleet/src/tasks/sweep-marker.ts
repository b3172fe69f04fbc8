import { sweep } from "@openhermit/processes";
import type { Log } from "@openhermit/telemetry";

/** Ends what runs under another gateway's marker on this host, if anything does; what can't be ended is logged. */
export async function sweepMarker(marker: string, log: Log): Promise<void> {
  try {
    const count = await sweep(marker);
    if (count > 0) log.warn({ count }, "processes of a gateway that is gone ended");
  } catch (error) {
    log.error({ err: error }, "processes of a gateway that is gone don't end");
  }
}
