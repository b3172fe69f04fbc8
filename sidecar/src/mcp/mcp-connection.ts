import { durationMs } from "@bufbuild/protobuf/wkt";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { HealthState, type ComponentHealth } from "@openhermit/protocol/health/v1/health";
import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { createComponentRecord, type ComponentChange } from "../health/component-record.ts";
import { sleep } from "../runner/sleep.ts";
import type { Tool } from "../tools/tool.ts";
import { createToolNamer } from "../tools/tool-name.ts";
import { errorSentence } from "./error-sentence.ts";
import type { McpClient, McpTool } from "./mcp-client.ts";
import { resolveSecrets, SecretError, strikeNothing } from "./secret-values.ts";

const CONNECT_MS = 30_000;
const CALL_MS = 120_000;
/** How long a call waits for a server that is being connected again. */
const RECONNECT_WAIT_MS = 3000;
/** A connection that held so long counts as healthy: the pauses start anew. */
const HEALTHY_MS = 60_000;

/** What a connection needs. */
export interface McpConnectionOptions {
  server: McpServer;
  workspace: string;
  env: Readonly<Record<string, string | undefined>>;
  /** Gives each child process a marker of its own. */
  nextMarker: () => string;
  log: Log;
  version: string;
  /** Called when the tools or the health have changed. */
  onChanged: () => void;
}

/** The connection of one agent to one MCP server. Connects by itself, again and again. */
export interface McpConnection {
  readonly server: McpServer;
  /** The tools of the last connection; they stay while it is being connected again. */
  readonly tools: readonly Tool[];
  readonly health: ComponentHealth;
  /** Settles with the first attempt to connect, however it goes; undefined afterwards. */
  readonly firstAttempt: Promise<void> | undefined;
  close(): Promise<void>;
}

/** Starts to connect and returns at once. */
export function createMcpConnection(options: McpConnectionOptions): McpConnection {
  const { server, onChanged } = options;
  const log = options.log.child({ mcp_server: server.id });
  const connectTimeoutMs = server.connectTimeout === undefined ? CONNECT_MS : durationMs(server.connectTimeout);
  const callTimeoutMs = server.callTimeout === undefined ? CALL_MS : durationMs(server.callTimeout);
  const closing = new AbortController();
  const backoff = createBackoff({ initialMs: 500, maxMs: 60_000 });
  let client: McpClient | undefined;
  let tools: readonly Tool[] = [];
  let strikeOut = strikeNothing;
  const health = createComponentRecord(
    `mcp:${server.id}`,
    { state: HealthState.UNSPECIFIED, detail: "Connecting for the first time." },
    onChanged,
  );
  let attempted: (() => void) | undefined;
  let firstAttempt: Promise<void> | undefined = new Promise((resolve) => (attempted = resolve));
  const waiters: (() => void)[] = [];

  const settleFirst = (): void => {
    firstAttempt = undefined;
    attempted?.();
  };
  const setTools = (listed: readonly McpTool[]): void => {
    const nameOf = createToolNamer(server.id);
    tools = listed.map((tool) => toolOf(tool, nameOf(tool.name)));
  };
  const setHealth = (change: ComponentChange): void => {
    if (!closing.signal.aborted) health.set({ toolCount: tools.length, ...change });
  };
  const toolOf = (tool: McpTool, name: string): Tool => ({
    definition: {
      type: "function",
      name,
      ...(tool.description === undefined ? {} : { description: tool.description }),
      inputSchema: tool.inputSchema as Tool["definition"]["inputSchema"],
    },
    async call(input, { idempotencyKey, traceparent, signal }) {
      const up = await connected(signal);
      if (up === undefined) {
        return { text: `The MCP server "${server.id}" is not connected. ${health.component.detail}`, isError: true };
      }
      const meta = { traceparent, "openhermit.dev/idempotency-key": idempotencyKey };
      return up.call({ name: tool.name, input, meta, timeoutMs: callTimeoutMs, signal });
    },
  });
  const connected = async (signal: AbortSignal): Promise<McpClient | undefined> => {
    if (client !== undefined) return client;
    await Promise.race([new Promise<void>((resolve) => waiters.push(resolve)), sleep(RECONNECT_WAIT_MS, signal)]);
    signal.throwIfAborted();
    return client;
  };

  /** Connects once and holds the connection until it is gone; resolves with the reason. */
  const hold = async (): Promise<string> => {
    const resolved = resolveSecrets(server, options.env);
    strikeOut = resolved.strikeOut;
    const { connectMcpClient } = await import("./mcp-client.ts");
    const gone = Promise.withResolvers<string>();
    const up = await connectMcpClient({
      ...options,
      ...resolved,
      log,
      connectTimeoutMs,
      marker: options.nextMarker(),
      signal: closing.signal,
      onClosed: gone.resolve,
      onTools(listed) {
        setTools(listed);
        log.info({ tools: listed.length }, "mcp server changed its tools");
        setHealth({ state: HealthState.OK });
        onChanged();
      },
    });
    if (closing.signal.aborted) {
      await up.close();
      return "";
    }
    client = up;
    setTools(up.tools);
    settleFirst();
    for (const wake of waiters.splice(0)) wake();
    log.info({ tools: tools.length }, "mcp server connected");
    setHealth({ state: HealthState.OK });
    const stop = (): void => gone.resolve("");
    closing.signal.addEventListener("abort", stop, { once: true });
    const reason = await gone.promise;
    client = undefined;
    // What the lost server has started is gone before the next one starts.
    await up.close();
    return reason;
  };

  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const started = performance.now();
      let reason: string;
      let isMissing = false;
      try {
        reason = await hold();
        if (performance.now() - started > HEALTHY_MS) backoff.reset();
      } catch (error) {
        reason = errorSentence(error, strikeOut);
        isMissing = error instanceof SecretError;
      }
      settleFirst();
      if (closing.signal.aborted) break;
      const problem = endSentence(reason);
      if (isMissing) {
        // The environment of a process does not change: there is nothing to try again.
        log.warn({ reason }, "mcp server lacks a secret");
        setHealth({ state: HealthState.DOWN, detail: problem, error: problem });
        break;
      }
      const delayMs = backoff.next();
      log.warn({ reason, attempt: backoff.attempts, delay_ms: delayMs }, "mcp server is not connected");
      const detail = `${problem} It is connected again by itself, after pauses of up to a minute.`;
      setHealth({ state: HealthState.DOWN, detail, error: problem });
      await sleep(delayMs, closing.signal);
    }
    waiters.splice(0).forEach((wake) => wake());
  };
  const running = run();

  return {
    server,
    get tools() {
      return tools;
    },
    get health() {
      return health.component;
    },
    get firstAttempt() {
      return firstAttempt;
    },
    async close() {
      closing.abort(new Error("the connection is closed"));
      await running;
    },
  };
}

function endSentence(text: string): string {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
