import { randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { BundleFile } from "@openhermit/skill-bundle";

/** Whether something is at the path, be it a link that leads nowhere. */
export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Writes a file, or replaces what is there; nobody ever sees half of it. With `secret` only its owner may read it. */
export function writeText(path: string, text: string, secret: boolean): void {
  const beside = besideOf(path);
  try {
    writeFileSync(beside, text, { mode: secret ? 0o600 : 0o666, flag: "wx" });
    renameSync(beside, path);
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Writes files below a folder, instead of all that is in it. Their paths must have been checked. */
export function writeFolder(folder: string, files: readonly BundleFile[], secret: boolean): void {
  const mode = secret ? 0o700 : 0o777;
  mkdirSync(dirname(folder), { recursive: true, mode });
  const beside = besideOf(folder);
  try {
    mkdirSync(beside, { mode });
    for (const { path, content, executable } of files) {
      const place = join(beside, path);
      mkdirSync(dirname(place), { recursive: true, mode });
      const all = executable ? 0o777 : 0o666;
      writeFileSync(place, content, { mode: secret ? all & 0o700 : all, flag: "wx" });
    }
    rmSync(folder, { recursive: true, force: true });
    renameSync(beside, folder);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

/** In the same folder, so that it can be renamed. */
const besideOf = (path: string): string => `${path}.${randomBytes(6).toString("hex")}.tmp`;
