import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { Database, Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Log } from "@openhermit/telemetry";

/** Who calls, as far as the catalogue cares: whose name stands in the log. */
export type Caller = { kind: "principal"; id: string } | { kind: "sidecar" } | { kind: "anonymous" };

/** What the catalogue is made of. */
export interface CatalogServiceOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
}

/** What was, or with dryRun would be, done to one resource. */
export interface ResourceChange {
  id: string;
  action: "create" | "update" | "none";
  /** Of an update: what changed, as it stands in a manifest. Values of env and headers are not shown. */
  fields: readonly { path: string; before: string; after: string }[];
}

/** What the catalogue holds for one agent. */
export interface AgentCatalog {
  /** The MCP servers it uses, its own and those of `*`, ordered by id. */
  servers: McpServer[];
  /** The catalogue's part of the generation; never falls. */
  revision: bigint;
}

/** The catalogue domain. */
export interface CatalogService {
  routes(router: ConnectRouter): void;
  /** Begins to listen for changes; does not wait for the database. */
  start(): void;
  close(): Promise<void>;
  /** What each of the agents uses; one statement for all. Each asked agent has an entry. */
  mcpServersFor(agentIds: readonly string[]): Promise<Map<string, AgentCatalog>>;
  /** The catalogue's part of each agent's generation; one statement for all. */
  revisionsFor(agentIds: readonly string[]): Promise<Map<string, bigint>>;
  /** Calls back when what agents use may have changed, on any gateway. Returns how to stop that. */
  onChanged(callback: (agentIds: readonly string[] | "all") => void): () => void;
  /** The agent is deleted: servers assigned to it alone stay, unassigned. */
  forgetAgent(agentId: string): Promise<void>;
  /** Creates or updates servers within the given transaction; answers in the order of the input. */
  applyMcpServers(
    tx: Queryable,
    servers: readonly McpServer[],
    options: { dryRun: boolean },
  ): Promise<ResourceChange[]>;
}
