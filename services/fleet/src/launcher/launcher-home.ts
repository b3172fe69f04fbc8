import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { failedPrecondition, toError } from "@openhermit/errors";

/** Where the sidecars of one gateway live. */
export interface LauncherHome {
  /** `<home>/sidecars`. */
  readonly path: string;
  /**
   * Tells this home from every other one, on any host, also from a copy of it. The same at each start. Stands in the
   * environment of all processes of its sidecars.
   */
  readonly id: string;
}

/** Makes the folder of the sidecars if there is none, and reads its id. Throws failed_precondition when it can't be written. */
export function openLauncherHome(home: string): LauncherHome {
  const path = join(home, "sidecars");
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const seed = readSeed(join(path, "launcher-id"));
    const id = createHash("sha256")
      .update(JSON.stringify([hostname(), realpathSync(path), seed]))
      .digest("hex");
    return { path, id: id.slice(0, 24) };
  } catch (error) {
    throw failedPrecondition("HOME_NOT_WRITABLE", `the folder ${path} can't be written: ${toError(error).message}`, {
      hint: "Choose another home, or give it to the user that runs the gateway.",
      cause: error,
    });
  }
}

function readSeed(file: string): string {
  try {
    writeFileSync(file, randomBytes(16).toString("hex"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return readFileSync(file, "utf8");
}
