import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cleanEnvironment } from "../fixture/running-fleet.ts";

/** A server that a benchmark runs as a process of its own. */
export interface BenchServer {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a TypeScript server that prints `PORT n`, and ends when its IPC channel closes. */
export async function startServer(file: URL, args: readonly string[] = []): Promise<BenchServer> {
  const child = spawn(process.execPath, [file.pathname, ...args], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: cleanEnvironment(),
  });
  const port = await firstMatch(child, /PORT (\d+)/);
  return {
    pid: child.pid ?? 0,
    port: Number(port),
    stop: () => stopChild(child),
  };
}

/** A scripted model as a process of its own, so that its CPU time is not the product's. */
export interface ModelProcess {
  readonly baseUrl: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a scripted model that always gives the same answer. */
export async function startModelProcess(answer: { text: string; deltas: number }): Promise<ModelProcess> {
  const file = new URL("../../libs/testing/src/scripted-model-main.ts", import.meta.url);
  const child = spawn(process.execPath, [file.pathname, JSON.stringify(answer)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: cleanEnvironment(),
  });
  const baseUrl = await firstMatch(child, /"baseUrl":"([^"]+)"/);
  return { baseUrl, pid: child.pid ?? 0, stop: () => stopChild(child) };
}

function firstMatch(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      const match = pattern.exec(output)?.[1];
      if (match !== undefined) resolve(match);
    });
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  await gone;
}
