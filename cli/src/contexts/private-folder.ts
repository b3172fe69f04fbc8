import { randomBytes } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** How long one writer waits for another, in milliseconds. */
const PATIENCE_MS = 10_000;

/** Makes the folder, for this user alone. */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
}

/** Writes a file that only this user can read, whole or not at all, also when the machine stops in the middle. */
export function writePrivateFile(folder: string, name: string, content: string): void {
  const temporary = join(folder, `.${name}.${process.pid}.${randomBytes(6).toString("hex")}`);
  try {
    const file = openSync(temporary, "wx", 0o600);
    try {
      writeSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, join(folder, name));
  } finally {
    rmSync(temporary, { force: true });
  }
}

/**
 * Does the work while no other process does work with the same folder. A lock of SQLite rather than a file: the system
 * gives it back when the process ends, however it ends.
 */
export function withFolderLock<T>(folder: string, work: () => T): T {
  const path = join(folder, "lock");
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path);
  try {
    database.exec(`PRAGMA busy_timeout = ${PATIENCE_MS}; BEGIN EXCLUSIVE`);
    return work();
  } finally {
    database.close();
  }
}
