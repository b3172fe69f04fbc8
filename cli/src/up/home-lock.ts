import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CliError } from "../cli-error.ts";
import { readGatewayFile } from "../find-gateway.ts";

/** Enough to need space of its own on every file system. */
const PROBE_BYTES = 16 * 1024;

/** The right to run a fleet in a home, held until release or the end of the process, however it ends. */
export interface HomeLock {
  release(): void;
}

/** Makes the home, 0700, if it is not there. Throws CliError when it can't be written, or its disk is full. */
export function openHome(home: string): void {
  try {
    makeFolder(home);
    const probe = join(home, `.write-check-${process.pid}`);
    try {
      writeFileSync(probe, "x".repeat(PROBE_BYTES), { mode: 0o600 });
    } finally {
      rmSync(probe, { force: true });
    }
  } catch (error) {
    throw homeFault(home, error);
  }
}

function homeFault(home: string, error: unknown): CliError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || /disk is full/i.test(String(error))) {
    return new CliError(`the disk of the home ${home} is full`, {
      next: "free some space (a new home needs about 60 MB), or choose another home with --home",
      cause: error,
    });
  }
  return new CliError(`the home ${home} is not writable`, {
    why: code === "ENOTDIR" || code === "EEXIST" ? "there is a file in its way" : (code ?? String(error)),
    next: "make it writable for this user, or choose another one with --home",
    cause: error,
  });
}

/** Not `recursive` of mkdir: on a file system that refuses new folders with ENOENT, as /proc, Node loops in it for ever. */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/**
 * Takes the home for this process. An exclusive lock of SQLite rather than a file with a process id: the system gives
 * it back when the process ends, also by kill -9. Throws CliError that names the process which holds it.
 */
export function lockHome(home: string): HomeLock {
  const holder = join(home, "up.json");
  const database = new DatabaseSync(join(home, "lock"));
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (!/locked|busy/i.test(String(error))) throw homeFault(home, error);
    const pid = readHolder(holder);
    const url = readGatewayFile(home)?.url;
    throw new CliError("hermit up is running on this home already", {
      why: `process ${pid ?? "unknown"}, home ${home}${url === undefined ? "" : `, gateway ${url}`}`,
      next: `use it (bin/hermit agents list), stop it (kill ${pid ?? "PID"}), or choose another home with --home`,
      cause: error,
    });
  }
  writeFileSync(holder, `${JSON.stringify({ pid: process.pid })}\n`, { mode: 0o600 });
  return {
    release: () => {
      rmSync(holder, { force: true });
      if (database.isOpen) database.close();
    },
  };
}

function readHolder(file: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(file, "utf8")) as { pid?: unknown };
    return typeof pid === "number" ? pid : undefined;
  } catch {
    return undefined;
  }
}
