import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { Caller, RecordChanges } from "@openhermit/caller";
import type { Database, Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Log } from "@openhermit/telemetry";

/** What the catalogue needs of other domains. */
export interface CatalogPorts {
  /** Whether the caller holds the right to change the server of this id, whichever agents use it. */
  mayWrite(context: HandlerContext, mcpServerId: string): boolean;
  /** The teams of those of the agents that exist; empty: nobody's. None of them moves or goes before the transaction ends. */
  holdTeams(tx: Queryable, agentIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

/** What the catalogue is made of. */
export interface CatalogServiceOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
  /** Writes what a call changes into the audit trail. */
  audit: (context: HandlerContext) => RecordChanges;
  ports: CatalogPorts;
}

/** Who asks for a change, and where it is recorded. */
export interface ChangeAuthor {
  readonly caller: Caller;
  /** Writes into the audit trail, within the transaction of the change. */
  readonly record: RecordChanges;
}

/** How a manifest is applied. */
export interface ApplyOptions extends ChangeAuthor {
  /** Say what would change and change nothing; `record` is not called. */
  dryRun: boolean;
  /** Whether the caller holds the right to change the server of this id. What is as it should be needs none. */
  mayWrite(id: string): boolean;
}

/** What was, or with dryRun would be, done to one resource. */
export interface ResourceChange {
  id: string;
  /** `refused`: the caller may not. Nothing more is told, and the caller of the port rolls back. */
  action: "create" | "update" | "none" | "refused";
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
  /**
   * Creates or updates servers within the given transaction; answers in the order of the input. That the agents they are
   * assigned to exist, or are made by the same manifest, has been checked.
   */
  applyMcpServers(tx: Queryable, servers: readonly McpServer[], options: ApplyOptions): Promise<ResourceChange[]>;
}
