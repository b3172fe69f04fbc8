import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder of its own for one test. */
export interface TemporaryDirectory {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Removes it with all that is in it. */
  remove(): Promise<void>;
}

/** Makes an empty folder that only this user can list; a database server that runs as another user passes through it. */
export async function temporaryDirectory(prefix = "test-"): Promise<TemporaryDirectory> {
  const path = await realpath(await mkdtemp(join(tmpdir(), `openhermit-${prefix}`)));
  await chmod(path, 0o711);
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}
