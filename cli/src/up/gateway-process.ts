import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../config.ts";
import { CliError } from "../cli-error.ts";
import type { Lifeline } from "./lifeline.ts";

/** What the gateway tells whoever started it, over IPC. Steps that this version does not know are ignored. */
export type GatewayMessage =
  | { step: "home" | "database" | "migrations"; ms: number }
  | { step: "listening"; ms: number; url: string }
  | ({ step: "ready"; ms: number } & WaysIn)
  /** Something takes long, or the gateway waits for its database. */
  | { step: "note" | "waiting"; message: string }
  /** It can't run, and ends. */
  | { step: "failed"; message: string; hint: string };

/** How people come in. */
export interface WaysIn {
  /** Opens a browser session of the local operator, once. */
  loginUrl?: string | undefined;
  /** Makes the first owner, once; undefined when there is one. */
  setupUrl?: string | undefined;
}

/** A gateway that runs as a child of this process. */
export interface GatewayProcess {
  readonly pid: number;
  /** Resolves when it listens; rejects with CliError when it ends before. */
  readonly listening: Promise<{ url: string }>;
  /** Resolves when it does its work, which needs its database; rejects with CliError when it ends before. */
  readonly ready: Promise<WaysIn>;
  /** Resolves when it has ended. */
  readonly ended: Promise<GatewayEnd>;
  /** Asks it to drain and end. */
  stop(): void;
  /** Ends it at once. */
  kill(): void;
}

/** How a gateway ended. */
export interface GatewayEnd {
  /** `SIGKILL` or `code 1`. */
  how: string;
  /** What it said of it, or the last words of its log. */
  error: CliError;
}

const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** How much of the log is looked through for the reason of a failed start. */
const LOG_TAIL_BYTES = 16 * 1024;
/** The place of the lifeline among the gateway's file descriptors. */
const LIFELINE_FD = 4;

/** Starts the gateway. Its log goes to `<home>/logs/gateway.log`, which is put aside when it is over 10 MB. */
export function startGatewayProcess(options: {
  home: string;
  environment: Readonly<Record<string, string | undefined>>;
  lifeline: Lifeline;
  onMessage(message: GatewayMessage): void;
}): GatewayProcess {
  const { home, environment, lifeline, onMessage } = options;
  const { fd: log, path: logFile, offset } = openLog(home);
  // A group of its own, so that a Ctrl-C of the terminal reaches this process alone, which then stops all in order.
  const child = spawn(process.execPath, [join(repositoryRoot, "gateway/src/main.ts")], {
    cwd: repositoryRoot,
    detached: true,
    env: { ...environment, OPENHERMIT_HOME: home, OPENHERMIT_LIFELINE_FD: String(LIFELINE_FD) },
    stdio: ["ignore", log, log, "ipc", lifeline.readFd],
  });
  closeSync(log);
  let failure: CliError | undefined;
  const listening = Promise.withResolvers<{ url: string }>();
  const ready = Promise.withResolvers<WaysIn>();
  const ended = Promise.withResolvers<GatewayEnd>();
  child.on("message", (message: GatewayMessage) => {
    if (message.step === "failed") failure = new CliError(message.message, { next: message.hint });
    if (message.step === "listening") listening.resolve(message);
    if (message.step === "ready") ready.resolve(message);
    onMessage(message);
  });
  const end = (how: string): void => {
    const error = failure ?? unexplained(how, logFile, offset);
    listening.reject(error);
    ready.reject(error);
    ended.resolve({ how, error });
  };
  child.once("exit", (code, signal) => end(signal ?? `code ${code}`));
  child.once("error", (error) => end(error.message));
  // Whoever waits for one of the three is not troubled by the others.
  listening.promise.catch(() => undefined);
  ready.promise.catch(() => undefined);
  return {
    pid: child.pid ?? 0,
    listening: listening.promise,
    ready: ready.promise,
    ended: ended.promise,
    stop: () => void child.kill("SIGTERM"),
    kill: () => killGroup(child),
  };
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

function unexplained(how: string, logFile: string, offset: number): CliError {
  return new CliError(`the gateway ended with ${how}`, {
    why: lastWords(logFile, offset),
    next: `its log is ${logFile}`,
  });
}

function lastWords(logFile: string, offset: number): string | undefined {
  // The home may have been removed meanwhile, and its log with it.
  if (!existsSync(logFile)) return undefined;
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
