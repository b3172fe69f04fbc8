import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { open, readFile, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { SERVER_ENVIRONMENT } from "./cluster.ts";
import { serverFault } from "./server-fault.ts";
import type { ServerBinaries } from "./server-binaries.ts";
import type { ServerFiles } from "./server-files.ts";

/** A running server. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

interface PidFile extends Postmaster {
  /** `starting`, `ready`, `stopping`, `standby`. */
  readonly status: string;
}

const POLL_MS = 5;
/** Recovery after a crash may take long on a slow disk. */
const READY_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 30_000;
const MAX_LOG_BYTES = 10 * 1024 * 1024;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** postmaster.pid: pid, data directory, start time, port, socket folder, address, shared memory, status. */
async function readPidFile(data: string): Promise<PidFile | undefined> {
  const text = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "");
  const lines = text.split("\n").map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return { pid, port: Number(lines[3] ?? 0), status: lines[7] ?? "starting" };
}

/** Whether the process runs; one that has ended but was not yet waited for does not. */
export async function isRunning(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  if (process.platform !== "linux") return true;
  const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const state = line.slice(line.lastIndexOf(")") + 2, line.lastIndexOf(")") + 3);
  return state !== "" && state !== "Z" && state !== "X";
}

/** Whether the process is a server of this data directory, and not another one that got its number. */
async function isServerOf(pid: number, data: string): Promise<boolean> {
  if (!(await isRunning(pid))) return false;
  if (process.platform !== "linux") return true;
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => "");
  return folder === (await realpath(data));
}

/** The server that still runs on the data, for example after its gateway was killed. Removes what a dead one left. */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const file = await readPidFile(data);
  if (file === undefined) return undefined;
  if (!(await isServerOf(file.pid, data))) {
    // Stale. PostgreSQL would take a process of the same user with this number for a running server.
    await rm(join(data, "postmaster.pid"), { force: true });
    return undefined;
  }
  if (file.status === "stopping") {
    await waitGone(file, data, STOP_DEADLINE_MS);
    return undefined;
  }
  return waitReady(data, file.pid, async () => "the server ended before it was ready");
}

/** Starts the server in a session of its own, so that it ends by our word and not by a terminal's, and waits until it is ready. */
export async function startPostmaster(
  binaries: ServerBinaries,
  files: ServerFiles,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<Postmaster> {
  const { account, record, logFile } = files;
  const size = await stat(logFile).then(
    (found) => found.size,
    () => 0,
  );
  if (size > MAX_LOG_BYTES) await rename(logFile, `${logFile}.old`);
  const log = await open(
    logFile,
    constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW,
    0o600,
  );
  const logStart = (await log.stat()).size;
  try {
    const args = ["-D", record.data, "-p", String(port)];
    for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
    const child = spawn(binaries.postgres, args, {
      ...account,
      cwd: "/",
      detached: true,
      env: SERVER_ENVIRONMENT,
      stdio: ["ignore", log.fd, log.fd],
    });
    const ended = new Promise<string>((resolve) => {
      child.on("error", (error) => resolve(error.message));
      child.on("exit", (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    });
    child.unref();
    return await waitReady(record.data, child.pid, async () => {
      // Whether it was started at all and what it wrote is known for certain once its end was reported.
      const how = await ended;
      const text = (await readFile(logFile)).subarray(logStart).toString();
      return text.trim() === "" ? how : text;
    });
  } finally {
    await log.close();
  }
}

/** `lastWords` says why a server that is gone has ended. */
async function waitReady(data: string, pid: number | undefined, lastWords: () => Promise<string>): Promise<Postmaster> {
  const deadline = performance.now() + READY_DEADLINE_MS;
  for (;;) {
    const file = await readPidFile(data);
    if (file !== undefined && file.pid === pid && file.status === "ready") return { pid: file.pid, port: file.port };
    if (pid === undefined || !(await isRunning(pid))) throw serverFault(data, await lastWords());
    if (performance.now() > deadline) throw serverFault(data, "the server did not become ready");
    await pause(POLL_MS);
  }
}

/** Fast shutdown: cuts the clients, writes everything down and ends. After 30 s the server is ended without writing down. */
export async function stopPostmaster({ pid }: Postmaster, data: string): Promise<void> {
  if (!(await isServerOf(pid, data))) return;
  process.kill(pid, "SIGINT");
  if (await waitGone({ pid }, data, STOP_DEADLINE_MS)) return;
  process.kill(pid, "SIGQUIT");
  await waitGone({ pid }, data, STOP_DEADLINE_MS);
}

async function waitGone({ pid }: { pid: number }, data: string, deadlineMs: number): Promise<boolean> {
  const deadline = performance.now() + deadlineMs;
  while (performance.now() < deadline) {
    if (!(await isServerOf(pid, data))) return true;
    await pause(POLL_MS);
  }
  return false;
}
