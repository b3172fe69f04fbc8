import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder of its own for one test. */
export interface TemporaryDirectory {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Removes it with all that is in it. */
  remove(): Promise<void>;
}

/** Makes an empty folder, readable by this user only. */
export async function temporaryDirectory(prefix = "test-"): Promise<TemporaryDirectory> {
  const path = await realpath(await mkdtemp(join(tmpdir(), `openhermit-${prefix}`)));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}
