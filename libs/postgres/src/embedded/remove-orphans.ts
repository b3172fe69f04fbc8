import { readdir, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { toError } from "@openhermit/errors";
import type { Log } from "@openhermit/telemetry";
import { findPostmaster, stopPostmaster } from "./postmaster.ts";
import { diskOf, isInside, ownerOf, SHARED_DIRECTORY, type ServerRecord } from "./server-files.ts";

/**
 * Removes data in /var/lib/openhermit whose home is gone: one that stood in the folder for temporary files, as of tests
 * and trials, and an earlier one at the path of the home that starts now. What belongs to any other home stays, for a
 * home that is not there may only be a disk that is not mounted; so does what an earlier home on another disk has.
 */
export async function removeOrphans(directory: string, record: ServerRecord, log: Log): Promise<void> {
  const temporary = await realpath(tmpdir());
  const disk = await diskOf(directory);
  const isOrphan = async (place: string): Promise<boolean> => {
    const owner = await ownerOf(place);
    if (owner.directory === directory) return owner.disk === disk && place !== dirname(record.data);
    return isInside(owner.directory, temporary) && !(await isThere(join(owner.directory, "server.json")));
  };
  for (const name of await readdir(SHARED_DIRECTORY).catch(() => [])) {
    const place = join(SHARED_DIRECTORY, name);
    try {
      if (!(await isOrphan(place))) continue;
      const running = await findPostmaster(join(place, "data"));
      if (running !== undefined) await stopPostmaster(running, join(place, "data"));
      await rm(place, { recursive: true, force: true });
      log.info({ data: place }, "data of a removed home removed");
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
