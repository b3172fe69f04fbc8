import { clone, equals } from "@bufbuild/protobuf";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { Log } from "@openhermit/telemetry";
import { sleep } from "../runner/sleep.ts";
import { createToolset, type Toolset } from "../tools/tool.ts";
import { createMcpConnection, type McpConnection } from "./mcp-connection.ts";

/** What the servers of an agent need. */
export interface McpServersOptions {
  workspace: string;
  env: Readonly<Record<string, string | undefined>>;
  /** The marker that every child process carries. */
  owner: string;
  log: Log;
  version: string;
  onHealthChanged: () => void;
}

/** The MCP servers of one agent. */
export interface McpServers {
  /** The tools of all servers, as of now. Rebuilt when a server connects or changes its list, not when it is read. */
  readonly toolset: Toolset;
  /** Connects what is new, disconnects what is gone, reconnects what changed, leaves the rest. Returns at once. */
  apply(servers: readonly McpServer[]): void;
  /** Waits for servers that are connecting for the first time; each is waited for by one wait only, at most so long. */
  settle(deadlineMs: number, signal: AbortSignal): Promise<void>;
  /** One component a server, in the order of their ids. */
  health(): ComponentHealth[];
  /** Ends every connection and child process. */
  close(): Promise<void>;
}

/** Makes the set, empty. */
export function createMcpServers(options: McpServersOptions): McpServers {
  const connections = new Map<string, McpConnection>();
  const ending = new Set<Promise<void>>();
  const missed = new WeakSet<McpConnection>();
  let toolset = createToolset([]);
  let children = 0;

  const rebuild = (): void => {
    const ordered = [...connections.values()].toSorted((a, b) => (a.server.id < b.server.id ? -1 : 1));
    toolset = createToolset(ordered.flatMap((connection) => connection.tools));
  };
  const end = (connection: McpConnection): void => {
    const ended = connection.close().finally(() => ending.delete(ended));
    ending.add(ended);
  };
  const start = (server: McpServer): void => {
    const connection = createMcpConnection({
      ...options,
      server,
      // A marker of its own for every child: ending an old one must not end its successor.
      nextMarker: () => `${options.owner}/mcp-${server.id}-${++children}`,
      onChanged() {
        if (connections.get(server.id) !== connection) return;
        rebuild();
        options.onHealthChanged();
      },
    });
    connections.set(server.id, connection);
  };

  return {
    get toolset() {
      return toolset;
    },
    apply(servers) {
      const wanted = new Map(servers.map((server) => [server.id, settingsOf(server)]));
      let changed = false;
      for (const [id, connection] of connections) {
        const server = wanted.get(id);
        if (server !== undefined && equals(McpServerSchema, server, connection.server)) continue;
        connections.delete(id);
        end(connection);
        changed = true;
      }
      for (const [id, server] of wanted) {
        if (connections.has(id)) continue;
        start(server);
        changed = true;
      }
      if (!changed) return;
      rebuild();
      options.onHealthChanged();
    },
    async settle(deadlineMs, signal) {
      const waiting = [...connections.values()].filter((one) => one.firstAttempt !== undefined && !missed.has(one));
      if (waiting.length === 0) return;
      await within(Promise.all(waiting.flatMap((one) => one.firstAttempt ?? [])), deadlineMs, signal);
      for (const one of waiting) if (one.firstAttempt !== undefined) missed.add(one);
    },
    health: () => [...connections.values()].map((one) => one.health).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    async close() {
      for (const connection of connections.values()) end(connection);
      connections.clear();
      rebuild();
      await Promise.all(ending);
    },
  };
}

/** The server without what does not concern the connection. */
function settingsOf(server: McpServer): McpServer {
  const settings = clone(McpServerSchema, server);
  settings.agents = [];
  settings.disabledAgents = [];
  settings.etag = "";
  delete settings.createTime;
  delete settings.updateTime;
  return settings;
}

async function within(work: Promise<unknown>, deadlineMs: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  await Promise.race([work, sleep(deadlineMs, AbortSignal.any([signal, over.signal]))]);
  over.abort();
}
