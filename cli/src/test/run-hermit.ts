import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

/** How a command ended. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<Ended>;
}

/** Starts the real command line as a child with a clean environment. */
export function startHermit(
  args: readonly string[],
  options: { home?: string; env?: Record<string, string>; input?: string } = {},
): Running {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(OPENHERMIT_|VITEST|NO_COLOR|FORCE_COLOR|SSH_|DISPLAY$|WAYLAND_DISPLAY$)/.test(name),
  );
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: {
      ...Object.fromEntries(inherited),
      OPENHERMIT_HOME: options.home ?? "/nonexistent-home",
      XDG_CONFIG_HOME: "/nonexistent-config",
      ...options.env,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  if (options.input !== undefined) child.stdin.end(options.input);
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}

/** Runs the real command line to its end. */
export function runHermit(...args: Parameters<typeof startHermit>): Promise<Ended> {
  const [words, options = {}] = args;
  return startHermit(words, { input: "", ...options }).ended;
}
