import { ReadBuffer, serializeMessage, type JSONRPCMessage, type Transport } from "@modelcontextprotocol/client";
import { killGroup, spawnGroup, type ProcessExit, type ProcessGroup } from "@openhermit/processes";
import type { Log } from "@openhermit/telemetry";
import type { StrikeOut } from "./secret-values.ts";
import { drainStderr, type StderrDrain } from "./stderr-drain.ts";

/** How long a server may take to leave once its stdin is closed, and once it is told to. */
const LEAVE_MS = 300;
const GRACE_MS = 1500;
/** How long the rest of a dead child's stdout is waited for. */
const DRAIN_MS = 100;

/** The child to start. */
export interface StdioTransportOptions {
  command: string;
  args: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  marker: string;
  log: Log;
  /** For what the child says on its stderr. */
  strikeOut: StrikeOut;
}

/** A transport over the standard streams of a child in a process group of its own. */
export interface StdioTransport extends Transport {
  /** How the child ended, as a sentence; undefined while it runs or when it was told to end. */
  readonly endReason: string | undefined;
}

/**
 * The SDK's own stdio transport knows no process groups; this one does what it does on top of `spawnGroup`. After
 * `close` nothing that the child started is left.
 */
export function createStdioTransport(options: StdioTransportOptions): StdioTransport {
  const { log } = options;
  const input = new ReadBuffer();
  let group: ProcessGroup | undefined;
  let stderr: StderrDrain | undefined;
  let closing: Promise<void> | undefined;
  let endReason: string | undefined;
  let ended = false;

  const end = async (target: ProcessGroup): Promise<void> => {
    target.child.stdin?.end();
    await Promise.race([target.exited, sleep(LEAVE_MS)]);
    try {
      await killGroup(target, { graceMs: GRACE_MS });
    } catch (error) {
      log.error({ error }, "mcp server could not be ended");
    }
    target.child.stdout?.destroy();
    target.child.stderr?.destroy();
    input.clear();
  };
  const mourn = async (target: ProcessGroup): Promise<void> => {
    const exit = await target.exited;
    await sleep(DRAIN_MS);
    if (closing === undefined) endReason ??= exitSentence(exit, stderr?.lastLine() ?? "");
    announceEnd();
    await transport.close();
  };
  const announceEnd = (): void => {
    if (ended) return;
    ended = true;
    transport.onclose?.();
  };
  const read = (chunk: Buffer): void => {
    try {
      input.append(chunk);
    } catch (error) {
      endReason = "it wrote a line of more than 10 MiB";
      transport.onerror?.(error as Error);
      void transport.close();
      return;
    }
    for (;;) {
      try {
        const message = input.readMessage();
        if (message === null) return;
        transport.onmessage?.(message);
      } catch (error) {
        transport.onerror?.(error as Error);
      }
    }
  };

  const transport: StdioTransport = {
    get endReason() {
      return endReason;
    },
    async start() {
      const started = await spawnGroup({ ...options, stdio: ["pipe", "pipe", "pipe"] });
      const { child } = started;
      group = started;
      child.stdin?.on("error", (error) => transport.onerror?.(error));
      child.stdout?.on("error", (error) => transport.onerror?.(error));
      child.stdout?.on("data", read);
      if (child.stderr !== null) stderr = drainStderr(child.stderr, log, options.strikeOut);
      void mourn(started);
    },
    async send(message: JSONRPCMessage) {
      const stdin = group?.child.stdin;
      if (stdin === undefined || stdin === null || stdin.writableEnded || stdin.destroyed) {
        throw new Error(endReason ?? "the MCP server is not running");
      }
      if (stdin.write(serializeMessage(message))) return;
      await new Promise<void>((resolve, reject) => {
        const done = (): void => {
          stdin.off("drain", done).off("close", done).off("error", reject);
          resolve();
        };
        stdin.once("drain", done).once("close", done).once("error", reject);
      });
    },
    async close() {
      if (group === undefined) return announceEnd();
      closing ??= end(group).then(announceEnd);
      await closing;
    },
  };
  return transport;
}

function exitSentence({ code, signal }: ProcessExit, lastLine: string): string {
  const how = signal === undefined ? `exited with code ${code ?? "unknown"}` : `was ended by ${signal}`;
  return lastLine === "" ? `it ${how}` : `it ${how}; the last it said was: ${lastLine}`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
