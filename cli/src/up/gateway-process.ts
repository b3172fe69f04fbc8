import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../config.ts";
import { CliError } from "../cli-error.ts";

/** What the gateway tells whoever started it, over the IPC channel. */
export interface GatewayMessage {
  /** A step of the start or of the stop that is done, or begins when `ms` is missing. */
  step?: string;
  /** How long the step took. */
  ms?: number;
  /** Where the gateway listens; sent once it does. */
  url?: string;
  /** A link that logs a browser in, once. */
  loginUrl?: string;
  /** Why the gateway can't start, and what to do: it ends after this. */
  problem?: string;
  hint?: string;
}

/** A gateway that runs as a child of this process. */
export interface GatewayProcess {
  readonly pid: number;
  /** Resolves when it listens; rejects with CliError when it ends before. */
  readonly ready: Promise<{ url: string; loginUrl: string | undefined }>;
  /** Resolves when it has ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Asks it to drain and end; a second call asks it to hurry. */
  stop(): void;
  /** Ends it at once. Its sidecars end by themselves, since this also cuts the lifeline. */
  kill(): void;
}

const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** How much of the log is looked through for the reason of a failed start. */
const LOG_TAIL_BYTES = 16 * 1024;
const LIFELINE_FD = 4;

/** Starts the gateway. Its log goes to `<home>/logs/gateway.log`, which is put aside when it is over 10 MB. */
export function startGatewayProcess(options: {
  home: string;
  environment: Readonly<Record<string, string | undefined>>;
  onMessage(message: GatewayMessage): void;
}): GatewayProcess {
  const { home, environment, onMessage } = options;
  const { fd: log, path: logFile, offset } = openLog(home);
  // A group of its own, so that a Ctrl-C of the terminal reaches this process alone, which then stops all in order.
  // fd 4 is the lifeline: nobody writes to it, and it ends when this process ends, however that happens.
  const child = spawn(process.execPath, [join(repositoryRoot, "gateway/src/main.ts")], {
    cwd: repositoryRoot,
    detached: true,
    env: { ...environment, OPENHERMIT_HOME: home, OPENHERMIT_LIFELINE_FD: String(LIFELINE_FD) },
    stdio: ["ignore", log, log, "ipc", "pipe"],
  });
  closeSync(log);
  const known: GatewayMessage = {};
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => resolve({ code: 1, signal: null }));
  });
  const ready = new Promise<{ url: string; loginUrl: string | undefined }>((resolve, reject) => {
    child.on("message", (message) => {
      const told = message as GatewayMessage;
      Object.assign(known, told);
      onMessage(told);
      const url = known.url ?? (known.loginUrl === undefined ? undefined : new URL(known.loginUrl).origin);
      if (url !== undefined) resolve({ url, loginUrl: known.loginUrl });
    });
    void ended.then(({ code, signal }) => {
      reject(startFailure(known, signal ?? `code ${code}`, logFile, offset));
    });
  });
  // Whoever only waits for the end is not troubled by a start that failed.
  ready.catch(() => undefined);
  return {
    pid: child.pid ?? 0,
    ready,
    ended,
    stop: () => void child.kill("SIGTERM"),
    kill: () => {
      killGroup(child);
      lifelineOf(child)?.destroy();
    },
  };
}

type Lifeline = { destroy(): void };

function lifelineOf(child: ChildProcess): Lifeline | undefined {
  return (child.stdio as readonly unknown[])[LIFELINE_FD] as Lifeline | undefined;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL");
  }
}

function openLog(home: string): { fd: number; path: string; offset: number } {
  const folder = join(home, "logs");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "gateway.log");
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > MAX_LOG_BYTES) renameSync(path, `${path}.1`);
  const fd = openSync(path, "a", 0o600);
  return { fd, path, offset: fstatSync(fd).size };
}

/** Why a start failed: what the gateway said over IPC, else the last words it wrote since this start. */
function startFailure(known: GatewayMessage, how: string, logFile: string, offset: number): CliError {
  if (known.problem !== undefined) return new CliError(known.problem, { next: known.hint });
  return new CliError(`the gateway ended with ${how} before it was ready`, {
    why: lastWords(logFile, offset),
    next: `its log is ${logFile}`,
  });
}

function lastWords(logFile: string, offset: number): string | undefined {
  const fd = openSync(logFile, "r");
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(offset, size - LOG_TAIL_BYTES);
    const tail = Buffer.alloc(Math.max(0, size - start));
    readSync(fd, tail, 0, tail.length, start);
    const lines = tail
      .toString("utf8")
      .split("\n")
      .filter((line) => line.trim() !== "" && !line.startsWith("    at "));
    return lines.length === 0 ? undefined : lines.slice(-5).join("\n").slice(-2000);
  } finally {
    closeSync(fd);
  }
}
