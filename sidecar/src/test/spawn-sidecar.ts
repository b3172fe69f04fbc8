import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { TestGateway } from "./test-gateway.ts";

/** A sidecar in a process of its own. */
export interface SpawnedSidecar {
  readonly child: ChildProcess;
  /** All it has written to stdout and stderr. */
  output(): string;
  /** Sends a signal and resolves with the exit code, or null when the signal ended it. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null>;
  /** Resolves with the exit code. */
  readonly exited: Promise<number | null>;
  /** Closes the supervisor's end of the lifeline. */
  cutLifeline(): void;
}

/** Starts `main.ts`, or the main of the scripted runtime, on a home. */
export function spawnSidecar(
  gateway: TestGateway,
  home: string,
  options: { main?: "main.ts" | "test/scripted-sidecar-main.ts"; join?: boolean; env?: Record<string, string> } = {},
): SpawnedSidecar {
  const joinTokenFile = join(home, "join-token");
  if (options.join !== false) writeFileSync(joinTokenFile, gateway.joinToken());
  const main = fileURLToPath(new URL(`../${options.main ?? "main.ts"}`, import.meta.url));
  const child = spawn(process.execPath, [main], {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      OPENHERMIT_GATEWAY_URL: gateway.url,
      OPENHERMIT_SIDECAR_HOME: home,
      OPENHERMIT_JOIN_TOKEN_FILE: joinTokenFile,
      OPENHERMIT_LIFELINE_FD: "3",
      OPENHERMIT_OWNER: `test-${home}`,
      ...options.env,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
  }
  const exited = once(child, "exit").then(([code]) => code as number | null);
  return {
    child,
    exited,
    output: () => output,
    end(signal) {
      child.kill(signal);
      return exited;
    },
    cutLifeline: () => (child.stdio[3] as unknown as { destroy(): void }).destroy(),
  };
}
