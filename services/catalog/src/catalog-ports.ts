import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { Caller, Reach, RecordChanges } from "@openhermit/caller";
import type { Database, Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Skill } from "@openhermit/protocol/catalog/v1/skill";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { SnapshotSkill } from "@openhermit/protocol/mesh/v1/snapshot";
import type { Log } from "@openhermit/telemetry";
import type { FieldDifference } from "./field-difference.ts";

/** What the catalogue needs of other domains. */
export interface CatalogPorts {
  /** Whether the caller holds the right to change the thing of this id, whichever agents use it. */
  mayWrite(context: HandlerContext, resource: "mcp-servers" | "skills", id: string): boolean;
  /** The teams of those of the agents that exist; empty: nobody's. None of them moves or goes before the transaction ends. */
  holdTeams(tx: Queryable, agentIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** The teams of all agents as the transaction sees them, without a lock: for whoever only looks. */
  agentTeams(tx: Queryable): Promise<ReadonlyMap<string, string>>;
  /** All agents, ordered by id. From memory. */
  agentIds(): readonly string[];
  /** What each agent's sidecar last said of one component, by agent. From memory. */
  componentReports(name: string): ReadonlyMap<string, ComponentHealth>;
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
  /** Delete what is not named, as far as the caller reaches every agent that uses it; the rest stays as it is. */
  prune: boolean;
  /** Of a dry run: tell as refused what prune leaves although the caller sees the whole of it, since it differs. */
  compareOnly?: boolean;
  /** Whether the caller holds the right to change the resource of this id. What is as it should be needs none. */
  mayWrite(resource: string, id: string): boolean;
}

/** What was, or with dryRun would be, done to one resource. */
export interface ResourceChange {
  id: string;
  /** `refused`: the caller may not. Nothing more is told, and the caller of the port rolls back. */
  action: "create" | "update" | "delete" | "none" | "refused";
  /** Of an update what changes, of a creation what is set, of a deletion what was set; by the keys of a manifest. */
  fields: readonly FieldDifference[];
  /** The etag of what was there before; empty when there was nothing, and when it is refused. */
  version: string;
}

/** What the catalogue holds for one agent. */
export interface AgentCatalog {
  /** The MCP servers it uses, its own and those of `*`, ordered by id. Agents share lists and messages: they must not be changed. */
  servers: McpServer[];
  /** The skills it has, its own and those of `*`, ordered by id. Shared in the same way. */
  skills: SnapshotSkill[];
  /** The catalogue's part of the generation; never falls. */
  revision: bigint;
}

/** What a manifest of the catalogue is made of. */
export interface ExportedCatalog {
  mcpServers: McpServer[];
  skills: Skill[];
  /**
   * The servers whose values of env, headers and URL may be secret and are left out, since the reach may not change them.
   * Whoever applied them so would remove these values.
   */
  hiddenServerIds: string[];
}

/** The catalogue domain. */
export interface CatalogService {
  routes(router: ConnectRouter): void;
  /** Begins to listen for changes, and to remove bundles that no skill has named for a day; does not wait for the database. */
  start(): void;
  close(): Promise<void>;
  /** What each of the agents uses; one statement for all. Each asked agent has an entry. */
  catalogsFor(agentIds: readonly string[]): Promise<Map<string, AgentCatalog>>;
  /** The catalogue's part of each agent's generation; one statement for all. */
  revisionsFor(agentIds: readonly string[]): Promise<Map<string, bigint>>;
  /** The names in `${secret.NAME}` of the servers that each agent uses, in order. One statement; each asked agent has an entry. */
  secretNamesFor(agentIds: readonly string[]): Promise<Map<string, readonly string[]>>;
  /** The bundle of this digest, as libs/skill-bundle packs it; only when the agent has a skill with it. */
  readBundle(agentId: string, digest: string): Promise<Uint8Array | undefined>;
  /** Calls back when what agents use may have changed, on any gateway. Returns how to stop that. */
  onChanged(callback: (agentIds: readonly string[] | "all") => void): () => void;
  /**
   * The agents are deleted by this transaction: their own rows go, and what was assigned to them alone stays, unassigned.
   * An agent of the same id that comes later starts without them.
   */
  forgetAgents(tx: Queryable, agentIds: readonly string[]): Promise<void>;
  /**
   * Makes the named servers and skills what is wanted, within the given transaction and with a fixed number of statements.
   * Answers in the order of the input, then what prune deletes, by id. That the agents they are assigned to exist, or are
   * made by the same manifest, has been checked. Errors: BUNDLE_MISSING, not in a dry run;
   * SKILL_NAME_DIFFERS; ASSIGNMENT_CONTRADICTORY; MCP_VARIABLE_INVALID.
   */
  applyCatalog(
    tx: Queryable,
    wanted: { mcpServers: readonly McpServer[]; skills: readonly Skill[] },
    options: ApplyOptions,
  ): Promise<{ mcpServers: ResourceChange[]; skills: ResourceChange[] }>;
  /** What the reach sees, by id, without etag, times and what is computed; assignments out of reach are left out. */
  exportCatalog(tx: Queryable, reach: Reach): Promise<ExportedCatalog>;
}
