import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** One process, told apart from a later one that was given the same number. Plain data: may be written as JSON. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started: clock ticks since boot on Linux, the start time of `ps` elsewhere. Compare, don't compute. */
  readonly startTicks: string;
}

/** What the kernel says about one process. */
export interface ProcessStat extends ProcessIdentity {
  readonly parentPid: number;
  readonly groupId: number;
  /** 0 where the platform does not say. */
  readonly sessionId: number;
  /** Exited but not reaped: nothing of it runs. */
  readonly zombie: boolean;
}

/** Reads the text of `/proc/<pid>/stat`, proc(5). The name in brackets may hold anything, so fields count from the last bracket. */
export function parseStat(pid: number, text: string): ProcessStat | undefined {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group, session] = fields;
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined) return undefined;
  return {
    pid,
    startTicks,
    parentPid: Number(parent),
    groupId: Number(group),
    sessionId: Number(session),
    zombie: state === "Z" || state === "X",
  };
}

/** Reads one line of `ps -o pid=,ppid=,pgid=,stat=,lstart=`. */
export function parsePsLine(line: string): ProcessStat | undefined {
  const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S.*?)\s*$/.exec(line);
  if (match === null) return undefined;
  return {
    pid: Number(match[1]),
    parentPid: Number(match[2]),
    groupId: Number(match[3]),
    sessionId: 0,
    zombie: match[4]?.startsWith("Z") === true,
    startTicks: match[5] as string,
  };
}

/** The columns of {@link parsePsLine}. */
export const PS_COLUMNS = "pid=,ppid=,pgid=,stat=,lstart=";

/** The identity of a running process; undefined when there is none of that number. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined || stat.zombie ? undefined : { pid: stat.pid, startTicks: stat.startTicks };
}

/** What the kernel says about a process, a zombie too; undefined when there is none of that number. */
export function readStat(pid: number): ProcessStat | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  if (process.platform !== "linux") {
    const listed = spawnSync("ps", ["-p", String(pid), "-o", PS_COLUMNS], { encoding: "utf8", env: { LC_ALL: "C" } });
    return parsePsLine(listed.stdout ?? "");
  }
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return undefined;
  }
}

/** Whether exactly this process still runs. A zombie does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid);
  return stat !== undefined && !stat.zombie && stat.startTicks === identity.startTicks;
}

/** Waits until the process is gone: true when it is, false when it still runs after `deadlineMs`. */
export async function waitGone(identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  // Young waits are checked often: most processes end within a few milliseconds of their signal.
  for (let pauseMs = 2; isAlive(identity); pauseMs = Math.min(100, pauseMs * 1.5)) {
    const leftMs = end - performance.now();
    if (leftMs <= 0) return false;
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, leftMs)));
  }
  return true;
}
