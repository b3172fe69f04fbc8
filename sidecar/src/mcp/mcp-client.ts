// The only file that loads the MCP client. It is imported when an agent's first server connects.
import { Client, ProtocolError, SdkHttpError, type Tool as McpTool } from "@modelcontextprotocol/client";
import { isDeepStrictEqual } from "node:util";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Log } from "@openhermit/telemetry";
import type { ToolAnswer } from "../tools/tool.ts";
import { createCoalesced } from "./coalesce.ts";
import { callErrorText } from "./call-error-text.ts";
import { errorSentence } from "./error-sentence.ts";
import { openTransport } from "./open-transport.ts";
import type { StrikeOut } from "./secret-values.ts";
import { toolResultText } from "./tool-result-text.ts";

/** The most tools of one server that are offered to a model. */
const MAX_TOOLS = 512;
/** How long a server may take to list its tools again. */
const LIST_MS = 15_000;
/** How long a goodbye over HTTP may take. */
const GOODBYE_MS = 1000;
/** After an error of an HTTP connection the server is looked at, at most once in so long. */
const CHECK_MS = 2000;
/** Changes of the tool list within this time are taken together. */
const LIST_CHANGED_MS = 100;

/** What a connection needs. */
export interface McpClientOptions {
  /** With the values of its secrets. */
  server: McpServer;
  /** For all that the server says and that is logged, reported, or kept. */
  strikeOut: StrikeOut;
  workspace: string;
  env: Readonly<Record<string, string | undefined>>;
  /** The marker of the child process and of all that it starts. */
  marker: string;
  log: Log;
  version: string;
  /** For connecting and the first list of tools together, in milliseconds. */
  connectTimeoutMs: number;
  /** Ends the connecting. */
  signal: AbortSignal;
  /** Called once when the connection is gone, with the reason as a sentence. Not called after `close`. */
  onClosed: (reason: string) => void;
  /** Called with the new list when the server changed it. */
  onTools: (tools: readonly McpTool[]) => void;
}

/** A call of a tool. */
export interface McpCall {
  name: string;
  input: Record<string, unknown>;
  meta: Record<string, unknown>;
  timeoutMs: number;
  signal: AbortSignal;
}

/** A connection that is up. */
export interface McpClient {
  readonly tools: readonly McpTool[];
  /** What goes wrong is an answer with isError. Rejects only after an abort. */
  call(call: McpCall): Promise<ToolAnswer>;
  close(): Promise<void>;
}

export type { McpTool };

/** Connects to a server and reads its tools. Rejects with a sentence for a person; nothing is left behind then. */
export async function connectMcpClient(options: McpClientOptions): Promise<McpClient> {
  try {
    return await connect(options, "legacy");
  } catch (error) {
    options.signal.throwIfAborted();
    // A server that knows only the newest revision answers the handshake of the older ones with an error.
    if (error instanceof ConnectError && error.answered) return connect(options, "auto");
    throw error;
  }
}

class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly answered: boolean;

  constructor(message: string, answered: boolean) {
    super(message);
    this.answered = answered;
  }
}

async function connect(options: McpClientOptions, mode: "legacy" | "auto"): Promise<McpClient> {
  const { server, log, connectTimeoutMs, signal, strikeOut } = options;
  const sentence = (error: unknown): string => errorSentence(error, strikeOut);
  const { transport, isChild, endReason, goodbye } = openTransport(options);
  let state: "connecting" | "up" | "closed" = "connecting";
  let tools: readonly McpTool[] = [];

  const client = new Client(
    { name: "openhermit-mesh", version: options.version },
    {
      versionNegotiation: { mode },
      // What a tool returns is read by a model as text: nothing is compiled to check it.
      jsonSchemaValidator: {
        getValidator: () => (input) => ({ valid: true, data: input as never, errorMessage: undefined }),
      },
      listChanged: { tools: { autoRefresh: false, debounceMs: LIST_CHANGED_MS, onChanged: () => relist() } },
    },
  );

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    state = "closed";
    return (closing ??= disconnect());
  };
  const disconnect = async (): Promise<void> => {
    await Promise.race([goodbye().catch(() => undefined), pause(GOODBYE_MS)]);
    await client.close().catch(() => undefined);
    await transport.close().catch(() => undefined);
  };
  const lose = (reason: string): void => {
    if (state !== "up") return;
    void close();
    options.onClosed(reason);
  };
  const list = async (timeoutMs: number): Promise<readonly McpTool[]> => {
    if (client.getServerCapabilities()?.tools === undefined) return [];
    const { tools: all } = await client.listTools(undefined, { cacheMode: "refresh", timeout: timeoutMs, signal });
    if (all.length > MAX_TOOLS) log.warn({ tools: all.length, kept: MAX_TOOLS }, "mcp server has too many tools");
    return all.slice(0, MAX_TOOLS);
  };
  let checkTimer: NodeJS.Timeout | undefined;
  const checkSoon = (): void => {
    checkTimer ??= setTimeout(() => {
      checkTimer = undefined;
      if (state === "up") relist();
    }, CHECK_MS).unref();
  };
  const relist = createCoalesced(async () => {
    try {
      const listed = await list(LIST_MS);
      if (state !== "up" || isDeepStrictEqual(listed, tools)) return;
      tools = listed;
      options.onTools(listed);
    } catch (error) {
      lose(`it no longer answers: ${sentence(error)}`);
    }
  });

  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the MCP client has properties only
  client.onerror = (error) => {
    log.debug({ error: sentence(error) }, "mcp connection reported an error");
    // Over HTTP nothing says that a server is gone; a list of tools shows it.
    if (state === "up" && !isChild) checkSoon();
  };
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the MCP client has properties only
  client.onclose = () => lose(endReason() ?? "it closed the connection");

  const abort = new AbortController();
  const stop = (): void => abort.abort(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(
    () => abort.abort(new Error(`it did not answer within ${connectTimeoutMs / 1000} s`)),
    connectTimeoutMs,
  );
  try {
    signal.throwIfAborted();
    const work = (async () => {
      await client.connect(transport, { timeout: connectTimeoutMs, signal: abort.signal });
      return list(connectTimeoutMs);
    })();
    tools = await Promise.race([work, rejectOnAbort(abort.signal)]);
    state = "up";
  } catch (error) {
    await close();
    signal.throwIfAborted();
    const reason = abort.signal.aborted ? sentence(abort.signal.reason) : (endReason() ?? sentence(error));
    throw new ConnectError(reason, mode === "legacy" && isProtocolAnswer(error));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }

  return {
    get tools() {
      return tools;
    },
    async call({ name, input, meta, timeoutMs, signal: callSignal }) {
      const known = tools.find((tool) => tool.name === name);
      try {
        const result = await client.callTool(
          { name, arguments: input, _meta: meta },
          {
            timeout: timeoutMs,
            maxTotalTimeout: timeoutMs,
            signal: callSignal,
            ...(known === undefined ? {} : { toolDefinition: { ...known, outputSchema: undefined } }),
          },
        );
        return { text: toolResultText(result, strikeOut), isError: result.isError === true };
      } catch (error) {
        callSignal.throwIfAborted();
        if (error instanceof SdkHttpError && (error.data.status === 404 || error.data.status === 400)) {
          lose(`it no longer knows this session (${error.data.status})`);
        }
        return { text: callErrorText(server.id, error, timeoutMs, strikeOut), isError: true };
      }
    },
    close,
  };
}

function isProtocolAnswer(error: unknown): boolean {
  return error instanceof ProtocolError || (error instanceof SdkHttpError && error.data.status === 400);
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
