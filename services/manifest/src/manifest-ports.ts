import type { HandlerContext } from "@connectrpc/connect";
import type { Caller, Reach, RecordChanges } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Skill } from "@openhermit/protocol/catalog/v1/skill";
import type { Agent, AgentSpec, Defaults, Provider } from "@openhermit/protocol/fleet/v1/agent";

/** One field that differs, as it stands in a manifest; empty where it is not set. */
export interface FieldDifference {
  path: string;
  before: string;
  after: string;
  /** Whether the value may be secret; then it is `(sensitive)` where it is set. */
  sensitive: boolean;
}

/** What was, or would be, done to one resource. */
export interface ResourceChange {
  id: string;
  /** `refused`: the caller may not; nothing more is told of it. */
  action: "create" | "update" | "delete" | "none" | "refused";
  /** Of an update what differs, of a creation all that is set, of a deletion all that was. */
  fields: readonly FieldDifference[];
  /** The etag of the row before; empty when there was none. */
  version: string;
}

/** How resources are applied. */
export interface ApplyOptions {
  /** Say what would change and change nothing. */
  dryRun: boolean;
  /** Only compare, for a drift, in a dry run: that something could not be taken away is no error. */
  compareOnly?: boolean;
  /** Delete what is in reach and not named. */
  prune: boolean;
  /** Who applies the manifest. */
  caller: Caller;
  /** Writes into the audit trail; to be called within the transaction, once for each changed resource, not in a dry run. */
  record: RecordChanges;
  /**
   * Whether the caller holds the right to change a resource: of `agents`, `providers`, `mcp-servers` or `skills` the one
   * of this id, or with `*` every one. What is as it should be needs none.
   */
  mayWrite(resource: string, id: string): boolean;
}

/** What a manifest asks of the fleet. */
export interface WantedFleet {
  /** Undefined: left as they are, or with prune cleared. */
  defaults: Defaults | undefined;
  providers: readonly Provider[];
  /** With what each sets itself. An unset state and an empty team leave those of an existing agent. */
  agents: readonly Agent[];
}

/** What a manifest asks of the catalogue. */
export interface WantedCatalog {
  mcpServers: readonly McpServer[];
  skills: readonly Skill[];
}

/** What a fleet holds, as far as it is in reach. */
export interface FleetContent {
  defaults: Defaults | undefined;
  /** Those that somebody put. */
  providers: readonly Provider[];
  /** With what each sets itself. */
  agents: readonly Agent[];
}

/** What a catalogue holds, as far as it is in reach. */
export interface CatalogContent extends WantedCatalog {
  /** The servers whose values of env, headers and URL may be secret and are left out. */
  hiddenServerIds: readonly string[];
}

/** A change in the audit trail. */
export interface LastChange {
  actor: string;
  time: Date;
  /** `<resource>.<verb>`, for example `agents.update`. */
  action: string;
  /** The fields it touched, as in FieldDifference. */
  paths: readonly string[];
}

/** What one agent uses of the catalogue. */
export interface AgentCatalog {
  servers: readonly { id: string }[];
  skills: readonly { id: string; digest: string }[];
}

/** What the manifest needs of the domains that own its resources. What takes a `tx` runs within that transaction. */
export interface ManifestPorts {
  /** The names of all providers, the built-in ones too: what a model may refer to. */
  providerNames(tx: Queryable): Promise<readonly string[]>;
  /** All agents with their teams (empty: nobody's): what things may be assigned to, as far as it is in reach. */
  agentTeams(tx: Queryable): Promise<ReadonlyMap<string, string>>;
  /** What agents take that they do not set themselves; undefined when nothing is set. */
  storedDefaults(tx: Queryable): Promise<AgentSpec | undefined>;
  /** Whether a team exists. */
  isTeam(teamId: string): boolean;
  /** Whether the caller of a call holds the right `resource:id:verb`. */
  may(context: HandlerContext, resource: string, verb: "read" | "write", id: string): boolean;
  /** Makes the fleet what is wanted; answers for each kind in the order of the input, then with what was pruned. */
  applyFleet(
    tx: Queryable,
    wanted: WantedFleet,
    options: ApplyOptions,
  ): Promise<{
    defaults: readonly ResourceChange[];
    providers: readonly ResourceChange[];
    agents: readonly ResourceChange[];
  }>;
  /** Makes the catalogue what is wanted; answers as applyFleet. In a dry run agents of the same manifest may not exist yet. */
  applyCatalog(
    tx: Queryable,
    wanted: WantedCatalog,
    options: ApplyOptions,
  ): Promise<{ mcpServers: readonly ResourceChange[]; skills: readonly ResourceChange[] }>;
  /** Called after the commit of an apply: what is kept in memory is read anew. */
  manifestApplied(deletedAgentIds: readonly string[]): Promise<void>;
  /** What the fleet holds, as far as it is in reach. */
  exportFleet(tx: Queryable, reach: Reach): Promise<FleetContent>;
  /** What the catalogue holds, with true values where the reach may change them; assignments out of reach are left out. */
  exportCatalog(tx: Queryable, reach: Reach): Promise<CatalogContent>;
  /** What each agent runs with, by the keys of a manifest. */
  effectiveValues(
    db: Queryable,
    agentIds: readonly string[],
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, { value: string }>>>;
  /** What each agent uses of the catalogue. */
  catalogsFor(agentIds: readonly string[]): Promise<ReadonlyMap<string, AgentCatalog>>;
  /** The newest changes of each target by `type/id`, newest first, at most 20 a target; one statement. */
  lastChanges(
    db: Queryable,
    targets: readonly { type: string; id: string }[],
  ): Promise<ReadonlyMap<string, readonly LastChange[]>>;
}
