import { chmod, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ProcessIdentity } from "@openhermit/processes";

/** How the running process of a sidecar was started; survives the gateway, so that the next one can adopt it. */
export interface LaunchRecord {
  readonly identity: ProcessIdentity;
  readonly fingerprint: string;
  readonly restartNumber: string;
}

/** The folder of one sidecar, as its launcher uses it: `sidecar.log`, `join-token`, `launch.json`. */
export interface SidecarHome {
  readonly path: string;
  readonly joinTokenFile: string;
  /** Makes the folder, for this user alone. */
  prepare(): Promise<void>;
  /** Writes the token to a file of mode 0600. */
  writeJoinToken(token: string): Promise<void>;
  removeJoinToken(): Promise<void>;
  /** Opens the log for appending; one that is larger than 10 MB is set aside first. */
  openLog(): Promise<{ fd: number; offset: number; close(): Promise<void> }>;
  /** The end of the log after `offset`, at most 4 KiB. */
  logTail(offset: number): Promise<string>;
  /** Undefined when there is none, or none that can be read. */
  readLaunch(): Promise<LaunchRecord | undefined>;
  writeLaunch(record: LaunchRecord): Promise<void>;
  forgetLaunch(): Promise<void>;
}

const MAX_LOG_BYTES = 10_000_000;
const TAIL_BYTES = 4096;

/** The home of a sidecar at a path; nothing is touched yet. */
export function createSidecarHome(path: string): SidecarHome {
  const logFile = join(path, "sidecar.log");
  const joinTokenFile = join(path, "join-token");
  const launchFile = join(path, "launch.json");
  return {
    path,
    joinTokenFile,
    async prepare() {
      await mkdir(path, { recursive: true, mode: 0o700 });
      await chmod(path, 0o700);
    },
    async writeJoinToken(token) {
      await rm(joinTokenFile, { force: true });
      await writeFile(joinTokenFile, token, { mode: 0o600, flag: "wx" });
    },
    removeJoinToken: () => rm(joinTokenFile, { force: true }),
    async openLog() {
      const size = await stat(logFile).then(
        (found) => found.size,
        () => 0,
      );
      if (size > MAX_LOG_BYTES) await rename(logFile, `${logFile}.1`);
      const file = await open(logFile, "a", 0o600);
      return { fd: file.fd, offset: size > MAX_LOG_BYTES ? 0 : size, close: () => file.close() };
    },
    async logTail(offset) {
      const file = await open(logFile, "r");
      try {
        const { size } = await file.stat();
        const start = Math.max(offset, size - TAIL_BYTES);
        const buffer = Buffer.alloc(Math.max(0, Math.min(TAIL_BYTES, size - start)));
        const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
        const tail = buffer.toString("utf8", 0, bytesRead);
        // What was cut is no sentence.
        return start > offset ? tail.slice(tail.indexOf("\n") + 1) : tail;
      } finally {
        await file.close();
      }
    },
    async readLaunch() {
      const text = await readFile(launchFile, "utf8").catch(() => "");
      return text === "" ? undefined : parseLaunch(text);
    },
    async writeLaunch(record) {
      const next = `${launchFile}.next`;
      await writeFile(next, JSON.stringify(record), { mode: 0o600 });
      await rename(next, launchFile);
    },
    forgetLaunch: () => rm(launchFile, { force: true }),
  };
}

function parseLaunch(text: string): LaunchRecord | undefined {
  try {
    const { identity, fingerprint, restartNumber } = JSON.parse(text) as Partial<LaunchRecord>;
    if (!Number.isSafeInteger(identity?.pid) || typeof identity?.startTicks !== "string") return undefined;
    if (typeof fingerprint !== "string" || typeof restartNumber !== "string") return undefined;
    return { identity: { pid: identity.pid, startTicks: identity.startTicks }, fingerprint, restartNumber };
  } catch {
    // Half written by a gateway that was killed: as if it were not there.
    return undefined;
  }
}
