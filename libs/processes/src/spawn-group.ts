import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { readStat, type ProcessIdentity } from "./process-identity.ts";

/** The environment variable by which everything that a child starts is found again. */
export const OWNER_VARIABLE = "OPENHERMIT_OWNER";

/** What to start. */
export interface SpawnGroupOptions {
  /** An absolute path, or a name looked up in PATH of `env`. */
  command: string;
  args: readonly string[];
  cwd: string;
  /** The whole environment: nothing else is passed on. */
  env: Readonly<Record<string, string>>;
  /** As of node:child_process. */
  stdio: StdioOptions;
  /**
   * Who owns the child and everything it starts. A marker covers itself and what is below it: `fleet/one` covers
   * `fleet/one/mcp-files`. No spaces.
   */
  marker: string;
}

/** How a process ended. */
export interface ProcessExit {
  /** The exit code; undefined when a signal ended it. */
  code: number | undefined;
  /** The signal that ended it, if one did. */
  signal: NodeJS.Signals | undefined;
}

/** A child that leads a session and process group of its own. */
export interface ProcessGroup {
  readonly child: ChildProcess;
  readonly identity: ProcessIdentity;
  readonly marker: string;
  /** Resolves when the leader has exited; others of the group may still run. Never rejects. */
  readonly exited: Promise<ProcessExit>;
}

/**
 * Starts a child as the leader of a new session, so that a signal to this process's group does not reach it and it
 * can be ended with all that it started. Rejects when the program can't be started.
 */
export async function spawnGroup(options: SpawnGroupOptions): Promise<ProcessGroup> {
  const { command, args, cwd, env, stdio, marker } = options;
  if (!/^[^\s\0]+$/.test(marker)) throw new Error(`the marker ${JSON.stringify(marker)} is empty or holds a space`);
  const child = spawn(command, [...args], {
    cwd,
    env: { ...env, [OWNER_VARIABLE]: marker },
    stdio,
    detached: true,
    windowsHide: true,
  });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });
  // Read before control goes back to the event loop: until then even a child that exits at once is not reaped.
  const { pid } = child;
  const startTicks = pid === undefined ? undefined : readStat(pid)?.startTicks;
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  // A later "error" is a signal or message that could not be sent: the caller sees the exit.
  child.on("error", () => undefined);
  return { child, identity: { pid: pid as number, startTicks: startTicks ?? "" }, marker, exited };
}
