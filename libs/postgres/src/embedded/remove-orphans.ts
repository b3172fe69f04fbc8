import { readdir, readFile, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toError } from "@openhermit/errors";
import type { Log } from "@openhermit/telemetry";
import { findPostmaster, stopPostmaster } from "./postmaster.ts";
import { HOME_FILE, isInside, SHARED_DIRECTORY } from "./server-files.ts";

/**
 * Removes data in /var/lib/openhermit whose home stood in the folder for temporary files and is gone: tests and trials.
 * What belongs to any other home stays, for a home that is not there may only be a disk that is not mounted.
 */
export async function removeOrphans(log: Log): Promise<void> {
  const temporary = await realpath(tmpdir());
  for (const name of await readdir(SHARED_DIRECTORY).catch(() => [])) {
    const place = join(SHARED_DIRECTORY, name);
    try {
      const home = await readFile(join(place, HOME_FILE), "utf8").catch(() => "");
      if (!isInside(home, temporary) || (await isThere(join(home, "server.json")))) continue;
      const running = await findPostmaster(join(place, "data"));
      if (running !== undefined) await stopPostmaster(running, join(place, "data"));
      await rm(place, { recursive: true, force: true });
      log.info({ home, data: place }, "data of a removed temporary home removed");
    } catch (error) {
      log.debug({ err: toError(error), data: place }, "data of a removed home not removed");
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
