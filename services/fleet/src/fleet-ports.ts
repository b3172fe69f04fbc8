import type { HandlerContext } from "@connectrpc/connect";
import type { ConnectRouter } from "@connectrpc/connect";
import type { Caller, Reach, RecordChanges } from "@openhermit/caller";
import type { Database, Queryable } from "@openhermit/postgres";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type {
  Agent,
  AgentSpec,
  AgentState,
  Defaults,
  Provider,
  ValueSource,
} from "@openhermit/protocol/fleet/v1/agent";
import type { Log } from "@openhermit/telemetry";
import type { LauncherOptions } from "./launcher/process-launcher.ts";

/** What the fleet needs of other domains. */
export interface FleetPorts {
  /** Makes a single-use token with which the sidecar may join to host the agents. */
  createJoinToken(sidecarId: string, agentIds: string[]): Promise<{ joinToken: string }>;
  /** Tells the sidecar, if it is attached here, to finish its turns and end its stream; resolves when it has, or after graceMs. */
  drainSidecar(sidecarId: string, graceMs: number): Promise<void>;
  /** Fences the sidecars, in one statement: their streams end and their keys are worth nothing until they join again. */
  revokeSidecars(sidecarIds: readonly string[]): Promise<void>;
  /** The URL at which sidecars on this host reach this gateway. Asked at each start of a sidecar. */
  gatewayUrl(): string;
  /** Stores events of the gateway's own. */
  recordEvents(events: Event[]): Promise<void>;
  /** The agents are deleted: forget what is kept only for them, within the transaction that deletes them. */
  forgetAgents(tx: Queryable, agentIds: readonly string[]): Promise<void>;
  /** The part of the catalogue in each agent's generation, for all asked agents in one statement. */
  catalogRevisions(agentIds: readonly string[]): Promise<ReadonlyMap<string, bigint>>;
  /** Whether a team exists; from memory. */
  isTeam(teamId: string): boolean;
  /**
   * The variables that each agent's MCP servers refer to as secrets. Asked when a sidecar starts, which gets them from the
   * gateway's environment.
   */
  secretNames(agentIds: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
}

/** What the fleet is made of. */
export interface FleetServiceOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
  /** Writes what a call changes into the audit trail. */
  audit: (context: HandlerContext) => RecordChanges;
  ports: FleetPorts;
  /** Starts sidecars on this host. Without it this gateway only observes. */
  launcher?: LauncherOptions;
  /** The value of OLLAMA_HOST: where the built-in provider `ollama` is. Default 127.0.0.1:11434. */
  ollamaHost?: string;
  /** How long another gateway may be silent before its sidecars are taken over, in milliseconds. Default 20,000. */
  leaseMs?: number;
}

/** What a snapshot says about an agent itself. */
export interface SnapshotSource {
  agentId: string;
  displayName: string;
  /** The effective one: launcher and turn limits are always set. */
  spec: AgentSpec;
  provider: Provider;
  /** The fleet's part of the generation; never falls, also not when the agent is deleted and created again. */
  revision: bigint;
}

/** A link as the mesh sees it. */
export interface Link {
  sidecarId: string;
  agentIds: readonly string[];
  host: string;
  pid: number;
  version: string;
  epoch: bigint;
  instanceId: string;
}

/** Why a link ended. */
export type DetachReason = "lost" | "drained" | "replaced" | "lease";

/** One field of a change, by the keys of a manifest. */
export interface FieldDifference {
  readonly path: string;
  /** Empty: not set. */
  readonly before: string;
  /** Empty: not set. */
  readonly after: string;
  /** Whether the values may be secret. Nothing in the fleet is. */
  readonly sensitive: boolean;
}

/** What was, or with dryRun would be, done to one resource. */
export interface ResourceChange {
  /** The agent's id, the provider's name, or `defaults`. */
  id: string;
  /** `refused`: the caller may not. Nothing more is told or changed, and the caller of the port rolls back. */
  action: "create" | "update" | "delete" | "none" | "refused";
  /** Of an update: what differs; of a creation all that is set; of a deletion all that was. */
  fields: readonly FieldDifference[];
  /** The etag of the resource before. Empty: there was none. */
  version: string;
}

/** How a manifest is applied. */
export interface ApplyOptions {
  /** Say what would change and change nothing. */
  dryRun: boolean;
  /**
   * Only compare, for a drift; with dryRun. That an agent would be left without a model, or a model without its provider, is no
   * error then.
   */
  compareOnly?: boolean;
  /** Delete what the manifest does not name: agents in reach, custom providers that the caller may write, the defaults. */
  prune: boolean;
  /** Who applies it. */
  caller: Caller;
  /** Whether the caller holds the right to change the resource (`agents`, `providers`) of this id. What is as it should be needs none. */
  mayWrite(resource: string, id: string): boolean;
  /** Writes into the audit trail, within the transaction. Not called in a dry run. */
  record: RecordChanges;
}

/** What a manifest says of the fleet. */
export interface WantedFleet {
  /** Undefined: nothing is said of them. */
  readonly defaults: Defaults | undefined;
  readonly providers: readonly Provider[];
  /** With what they set themselves. An unspecified desired state and an empty team leave both as they are. */
  readonly agents: readonly Agent[];
}

/** What an apply does to each resource: in the order of the manifest, deletions last. */
export interface FleetChanges {
  readonly defaults: ResourceChange[];
  readonly providers: ResourceChange[];
  readonly agents: ResourceChange[];
}

/** A value that an agent runs with, as it stands in a manifest. */
export interface EffectiveValue {
  readonly value: string;
  readonly source: ValueSource;
}

/** One agent, as health and other readers see it. */
export interface AgentView {
  agentId: string;
  displayName: string;
  desired: "running" | "stopped";
  state: AgentState;
  stateSince: Date;
  detail: string;
  /** Why its sidecar rejected the newest snapshot; empty when it did not. */
  rejectedReason: string;
  /** The team that owns it; empty: nobody. */
  team: string;
}

/** The fleet domain. */
export interface FleetService {
  routes(router: ConnectRouter): void;
  /** Begins to watch, supervise and write what is observed; does not wait for the database. Call it when the gateway listens. */
  start(): void;
  /** Resolves when the agents were read once after this call, so that turns can be taken; at once when the database is away. */
  agentsRead(): Promise<void>;
  /** Lets sidecars run on and forgets them. Idempotent. */
  close(): Promise<void>;
  /** Ends all sidecars that this gateway started, side by side, each with this time for its turns. No sidecar starts afterwards. */
  stopAll(graceMs: number): Promise<void>;

  /** Whether a turn may go to the agent; from memory. Throws unavailable as long as the agents were never read. */
  agentForTurn(agentId: string): { state: "unknown" | "stopped" | "ready" };
  /** The ids of all agents, from memory, in order. */
  knownAgentIds(): readonly string[];
  /**
   * The team of an agent, or of a deleted one that a team owned; empty: nobody; undefined: none of the id. From memory.
   * Throws unavailable as long as the agents were never read.
   */
  teamOfAgent(agentId: string): string | undefined;
  /** The ids of all agents and of the deleted ones that a team owned; from memory. Throws unavailable like `teamOfAgent`. */
  ownedAgentIds(): readonly string[];
  /** The state of all agents, in order of their ids. Without a database: what this gateway itself has seen. */
  agents(): Promise<AgentView[]>;
  /** What snapshots are compiled from, in one statement. Unknown agents are left out. */
  snapshotSources(agentIds: readonly string[]): Promise<SnapshotSource[]>;
  /** Throws not_found for an agent that is unknown or out of reach and failed_precondition for one that a gateway starts itself. */
  mayJoinExternally(agentIds: readonly string[], reach: Reach): Promise<void>;
  /** Calls back when what snapshots are compiled from may have changed, on any gateway. Returns how to stop that. */
  onChanged(callback: (agentIds: readonly string[] | "all") => void): () => void;

  /** The mesh ports. They return at once; what they say is stored soon, and again after an outage. */
  sidecarAttached(link: Link): Promise<void>;
  sidecarDetached(link: {
    sidecarId: string;
    agentIds: readonly string[];
    epoch: bigint;
    reason: DetachReason;
  }): Promise<void>;
  snapshotAnswered(answer: { agentId: string; generation: bigint; rejectedReason: string }): Promise<void>;

  /** The manifest ports, each within the given transaction. `agentTeams`: the team of each agent, in order of the agents' ids. */
  providerNames(tx: Queryable): Promise<readonly string[]>;
  agentTeams(tx: Queryable): Promise<ReadonlyMap<string, string>>;
  /** What agents inherit; undefined when nothing is set. */
  storedDefaults(tx: Queryable): Promise<AgentSpec | undefined>;
  /**
   * Makes the fleet what a manifest says; whoever else changes it waits meanwhile. The number of statements does not depend on the
   * number of resources.
   *
   * Errors: AGENT_CHANGED; AGENT_MODEL_INVALID and PROVIDER_NOT_FOUND for what would not run;
   * DEFAULTS_NEEDED and PROVIDER_IN_USE for what can't be taken away.
   */
  applyFleet(tx: Queryable, wanted: WantedFleet, options: ApplyOptions): Promise<FleetChanges>;
  /**
   * After the commit of an apply: reads the agents anew and revokes the keys of deleted agents' sidecars. Never fails: memory
   * follows by itself, and a key that could not be revoked is logged; that of a sidecar which still runs is revoked when it ends.
   */
  manifestApplied(deletedAgentIds: readonly string[]): Promise<void>;
  /** What a manifest of the fleet says, as far as it is in reach: custom providers by name, agents by id, with what they set themselves. */
  exportFleet(tx: Queryable, reach: Reach): Promise<WantedFleet>;
  /** What agents run with, by the keys of a manifest; what nobody set is left out, and so are unknown agents. */
  effectiveValues(
    db: Queryable,
    agentIds: readonly string[],
  ): Promise<Map<string, ReadonlyMap<string, EffectiveValue>>>;

  /** A port of the catalogue: the teams of those of the agents that exist. None of them moves or goes before the transaction ends. */
  holdTeams(tx: Queryable, agentIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
}
