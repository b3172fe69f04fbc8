import type { HandlerContext } from "@connectrpc/connect";
import type { ConnectRouter } from "@connectrpc/connect";
import type { Caller, Reach, RecordChanges } from "@openhermit/caller";
import type { Database, Queryable } from "@openhermit/postgres";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type { Agent, AgentSpec, AgentState, Provider } from "@openhermit/protocol/fleet/v1/agent";
import type { Log } from "@openhermit/telemetry";
import type { LauncherOptions } from "./launcher/process-launcher.ts";

/** What the fleet needs of other domains. */
export interface FleetPorts {
  /** Makes a single-use token with which the sidecar may join to host the agents. */
  createJoinToken(sidecarId: string, agentIds: string[]): Promise<{ joinToken: string }>;
  /** Tells the sidecar, if it is attached here, to finish its turns and end its stream; resolves when it has, or after graceMs. */
  drainSidecar(sidecarId: string, graceMs: number): Promise<void>;
  /** Fences the sidecar: its streams end and its key is worth nothing until it joins again. */
  revokeSidecar(sidecarId: string): Promise<void>;
  /** The URL at which sidecars on this host reach this gateway. Asked at each start of a sidecar. */
  gatewayUrl(): string;
  /** Stores events of the gateway's own. */
  recordEvents(events: Event[]): Promise<void>;
  /** The agent is deleted: forget what is kept only for it. */
  forgetAgent(agentId: string): Promise<void>;
  /** The part of the catalogue in each agent's generation, for all asked agents in one statement. */
  catalogRevisions(agentIds: readonly string[]): Promise<ReadonlyMap<string, bigint>>;
  /** Whether a team exists; from memory. */
  isTeam(teamId: string): boolean;
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
  /** Every turn limit is set. */
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

/** What was, or with dryRun would be, done to one resource. */
export interface ResourceChange {
  id: string;
  /** `refused`: the caller may not. Nothing more is told, and the caller of the port rolls back. */
  action: "create" | "update" | "none" | "refused";
  /** Of an update: what changed, as it stands in a manifest. */
  fields: readonly { path: string; before: string; after: string }[];
}

/** How a manifest is applied. */
export interface ApplyOptions {
  /** Say what would change and change nothing. */
  dryRun: boolean;
  /** Who applies it. */
  caller: Caller;
  /** Whether the caller holds the right to change the resource of this id. What is as it should be needs none. */
  mayWrite(id: string): boolean;
  /** Writes into the audit trail, within the transaction. Not called in a dry run. */
  record: RecordChanges;
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
  /** Reads the agents into memory now, for example after a manifest was applied, so that the next turn finds them. */
  refresh(): Promise<void>;

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
  applyProviders(
    tx: Queryable,
    providers: readonly Provider[],
    options: Omit<ApplyOptions, "caller">,
  ): Promise<ResourceChange[]>;
  applyAgents(tx: Queryable, agents: readonly Agent[], options: ApplyOptions): Promise<ResourceChange[]>;

  /** A port of the catalogue: the teams of those of the agents that exist. None of them moves or goes before the transaction ends. */
  holdTeams(tx: Queryable, agentIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
}
