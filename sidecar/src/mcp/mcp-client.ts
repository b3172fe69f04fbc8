// The only file that loads the MCP client. It is imported when an agent's first server connects.
import {
  Client,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  StreamableHTTPClientTransport,
  type Tool as McpTool,
  type Transport,
} from "@modelcontextprotocol/client";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Log } from "@openhermit/telemetry";
import type { ToolAnswer } from "../tools/tool.ts";
import { childEnvironment, findProgram } from "./child-environment.ts";
import { errorSentence } from "./error-sentence.ts";
import { createStdioTransport, type StdioTransport } from "./stdio-transport.ts";
import { toolResultText } from "./tool-result-text.ts";

/** The most tools of one server that are offered to a model. */
const MAX_TOOLS = 512;
/** How long a server may take to list its tools again. */
const LIST_MS = 15_000;
/** How long a goodbye over HTTP may take. */
const GOODBYE_MS = 1000;
/** Changes of the tool list within this time are taken together. */
const LIST_CHANGED_MS = 100;

/** What a connection needs. */
export interface McpClientOptions {
  server: McpServer;
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
    if (error instanceof ConnectError && error.answered) return await connect(options, "auto");
    throw error;
  }
}

class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly answered: boolean;

  constructor(message: string, answered: boolean, cause: unknown) {
    super(message, { cause });
    this.answered = answered;
  }
}

async function connect(options: McpClientOptions, mode: "legacy" | "auto"): Promise<McpClient> {
  const { server, log, connectTimeoutMs, signal } = options;
  const transport = openTransport(options);
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
      listChanged: { tools: { autoRefresh: false, debounceMs: LIST_CHANGED_MS, onChanged: () => void relist() } },
    },
  );

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    state = "closed";
    return (closing ??= disconnect());
  };
  const disconnect = async (): Promise<void> => {
    if (transport instanceof StreamableHTTPClientTransport && transport.sessionId !== undefined) {
      await Promise.race([transport.terminateSession().catch(() => undefined), pause(GOODBYE_MS)]);
    }
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
  let listing: Promise<void> | undefined;
  let again = false;
  const relist = async (): Promise<void> => {
    if (listing !== undefined) {
      again = true;
      return;
    }
    do {
      again = false;
      listing = list(LIST_MS).then(
        (listed) => {
          if (state !== "up") return;
          tools = listed;
          options.onTools(listed);
        },
        (error: unknown) => lose(`it no longer answers: ${errorSentence(error)}`),
      );
      await listing;
    } while (again && state === "up");
    listing = undefined;
  };

  client.onerror = (error) => {
    log.debug({ error: errorSentence(error) }, "mcp connection reported an error");
    // Over HTTP nothing says that a server is gone; a list of tools shows it.
    if (state === "up" && !isStdio(transport) && listing === undefined) void relist();
  };
  client.onclose = () =>
    lose(isStdio(transport) ? (transport.endReason ?? "it closed the connection") : "the connection ended");

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
      return await list(connectTimeoutMs);
    })();
    tools = await Promise.race([work, rejectOnAbort(abort.signal)]);
    state = "up";
  } catch (error) {
    await close();
    signal.throwIfAborted();
    const reason = abort.signal.aborted ? errorSentence(abort.signal.reason) : connectReason(error, transport);
    throw new ConnectError(reason, mode === "legacy" && isProtocolAnswer(error), error);
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
            ...(known === undefined ? {} : { toolDefinition: { ...known, outputSchema: undefined } as McpTool }),
          },
        );
        return { text: toolResultText(result), isError: result.isError === true };
      } catch (error) {
        callSignal.throwIfAborted();
        if (error instanceof SdkHttpError && (error.data.status === 404 || error.data.status === 400)) {
          lose(`it no longer knows this session (${error.data.status})`);
        }
        return { text: callErrorText(server.id, error, timeoutMs), isError: true };
      }
    },
    close,
  };
}

function openTransport({
  server,
  workspace,
  env,
  marker,
  log,
}: McpClientOptions): StdioTransport | StreamableHTTPClientTransport {
  const { transport } = server;
  switch (transport.case) {
    case "stdio": {
      const environment = childEnvironment(env, transport.value.env);
      return createStdioTransport({
        command: findProgram(transport.value.command, environment["PATH"]),
        args: transport.value.args,
        cwd: workspace,
        env: environment,
        marker,
        log,
      });
    }
    case "http":
      return new StreamableHTTPClientTransport(new URL(transport.value.url), {
        requestInit: { headers: { ...transport.value.headers } },
        reconnectionOptions: {
          initialReconnectionDelay: 500,
          maxReconnectionDelay: 5000,
          reconnectionDelayGrowFactor: 2,
          maxRetries: 3,
        },
      });
    case undefined:
      throw new Error("it has neither a command nor a URL");
  }
}

function isStdio(transport: Transport): transport is StdioTransport {
  return "endReason" in transport;
}

function connectReason(error: unknown, transport: Transport): string {
  return (isStdio(transport) ? transport.endReason : undefined) ?? errorSentence(error);
}

function isProtocolAnswer(error: unknown): boolean {
  return error instanceof ProtocolError || (error instanceof SdkHttpError && error.data.status === 400);
}

function callErrorText(server: string, error: unknown, timeoutMs: number): string {
  if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
    return `The MCP server "${server}" did not answer within ${timeoutMs / 1000} s; the call was cancelled and its outcome is unknown.`;
  }
  if (error instanceof SdkError && error.code === SdkErrorCode.ConnectionClosed) {
    return `The MCP server "${server}" ended during the call; its outcome is unknown. It is being started again.`;
  }
  if (error instanceof ProtocolError) return `The MCP server "${server}" refused the call: ${error.message}`;
  return `The call of the MCP server "${server}" failed: ${errorSentence(error)}`;
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
