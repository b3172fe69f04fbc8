import { StreamableHTTPClientTransport, type Transport } from "@modelcontextprotocol/client";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Log } from "@openhermit/telemetry";
import { childEnvironment, findProgram } from "./child-environment.ts";
import type { StrikeOut } from "./secret-values.ts";
import { createStdioTransport } from "./stdio-transport.ts";

/** How often the stream of the server's own messages is opened again before that is left. */
const HTTP_RECONNECTION = {
  initialReconnectionDelay: 500,
  maxReconnectionDelay: 5000,
  reconnectionDelayGrowFactor: 2,
  maxRetries: 3,
};

/** A way to a server, not yet started. */
export interface OpenTransport {
  transport: Transport;
  /** True for a child process: its end is noticed at once. */
  isChild: boolean;
  /** How a child ended, as a sentence; undefined otherwise. */
  endReason: () => string | undefined;
  /** Tells the server that its session is over. May hang. */
  goodbye: () => Promise<void>;
}

/** Makes the transport of a server. Throws an Error with a sentence when it can't work. */
export function openTransport(options: {
  server: McpServer;
  workspace: string;
  env: Readonly<Record<string, string | undefined>>;
  marker: string;
  log: Log;
  strikeOut: StrikeOut;
}): OpenTransport {
  const { marker, log, workspace, strikeOut } = options;
  const { transport: settings } = options.server;
  if (settings.case === "stdio") {
    const env = childEnvironment(options.env, settings.value.env);
    const command = findProgram(settings.value.command, env["PATH"]);
    const { args } = settings.value;
    const transport = createStdioTransport({ command, args, cwd: workspace, env, marker, log, strikeOut });
    return { transport, isChild: true, endReason: () => transport.endReason, goodbye: async () => undefined };
  }
  if (settings.case === "http") {
    const transport = new StreamableHTTPClientTransport(new URL(settings.value.url), {
      requestInit: { headers: { ...settings.value.headers } },
      reconnectionOptions: HTTP_RECONNECTION,
    });
    const goodbye = async (): Promise<void> => {
      if (transport.sessionId !== undefined) await transport.terminateSession();
    };
    return { transport, isChild: false, endReason: () => undefined, goodbye };
  }
  throw new Error("it has neither a command nor a URL");
}
