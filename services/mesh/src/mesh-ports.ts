import type { Reach } from "@openhermit/caller";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { LedgerTurn, RefusalReason } from "@openhermit/protocol/mesh/v1/link_service";
import type { Ephemeral, TurnChange } from "@openhermit/protocol/mesh/v1/outbox";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import type { TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";
import type { Sql } from "@openhermit/postgres";

/** A sidecar and the agents it hosts. */
export interface HostedAgents {
  readonly sidecarId: string;
  readonly agentIds: readonly string[];
}

/** A sidecar that has attached. */
export interface AttachedLink extends HostedAgents {
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  /** Higher than that of every attach of this sidecar before. */
  readonly epoch: bigint;
  /** New at each start of the sidecar's process. */
  readonly instanceId: string;
}

/**
 * Why a link ended: `lost` (the stream broke), `drained` (the sidecar ended it after Drain), `replaced` (a newer attach,
 * a join or a revocation fenced it), `lease` (no sign of life for a lease; it may come back).
 */
export type DetachReason = "lost" | "drained" | "replaced" | "lease";

/** A sidecar that is no longer attached. */
export interface DetachedLink extends HostedAgents {
  /** The epoch of the attach that ended. A receiver ignores a detach older than the newest attach it knows. */
  readonly epoch: bigint;
  readonly reason: DetachReason;
}

/** What a sidecar said about a snapshot. */
export interface SnapshotAnswer {
  readonly agentId: string;
  readonly generation: bigint;
  /** Empty when the snapshot was applied. */
  readonly rejectedReason: string;
}

/** Durable entries of any number of sidecars, in the order of each outbox, that commit together. */
export interface IngestBatch {
  readonly events: { sidecarId: string; event: Event }[];
  readonly entries: TranscriptEntry[];
  readonly turnChanges: TurnChange[];
}

/** What becomes of the turns in a ledger. */
export interface ReconciledTurns {
  /** The turns that have ended or were given to another attempt; the sidecar stops them. */
  readonly deadTurnIds: string[];
  /** Turns that do not belong to the sidecar's agents: nothing it writes about them is accepted. */
  readonly foreignTurnIds?: readonly string[];
}

/** What the mesh link needs of the rest of the gateway. A port that rejects is logged and, where it says so, repeated. */
export interface MeshPorts {
  /** The current snapshots of the agents; an agent without one is no longer hosted. Repeated until it succeeds. */
  compileSnapshots(agentIds: readonly string[]): Promise<Snapshot[]>;
  /** The bundle of a skill that the agent has, its files encoded; undefined when it has none with this digest. */
  readBundle(agentId: string, digest: string): Promise<Uint8Array | undefined>;
  /** Throws a MeshError unless all agents exist, are in reach, and may be hosted by a sidecar that somebody else starts. */
  mayJoinExternally(agentIds: readonly string[], reach: Reach): Promise<void>;
  /** Before Welcome. A rejection ends the attach; the sidecar tries again. May be called again for the same epoch. */
  sidecarAttached(link: AttachedLink): Promise<void>;
  /** At least once for each epoch that ended, perhaps after the attach of a newer one. */
  sidecarDetached(link: DetachedLink): Promise<void>;
  /** Repeated while the database is away, unless a newer answer of the same agent replaced it. */
  snapshotAnswered(answer: SnapshotAnswer): Promise<void>;
  /** Repeated while the database is away, unless a newer report of the same agent replaced it. */
  healthReported(agentId: string, components: ComponentHealth[]): Promise<void>;
  /** Before Welcome. A rejection ends the attach; the sidecar tries again. */
  reconcileTurns(link: HostedAgents, ledgerTurns: LedgerTurn[]): Promise<ReconciledTurns>;
  /** After Welcome and the snapshots of these agents: turns may be offered. */
  linkReady(agentIds: readonly string[]): void;
  turnAccepted(turnId: string, attempt: number): void;
  turnRefused(turnId: string, attempt: number, reason: RefusalReason, detail: string): void;
  /**
   * Data-modifying statements that store the batch; they become parts of one statement. Called again for a retry.
   * A throw of MeshError invalid_argument, or an error of the database of class 22 or 23, refuses the entry that caused it.
   */
  ingestStatements(batch: IngestBatch): Sql[];
  /** After the commit. */
  ingested(batch: IngestBatch): void;
  /** Things to show at once, of turns that were offered to this sidecar. */
  ephemeral(items: readonly Ephemeral[], sidecarId: string): void;
  /** A page of a transcript; empty when the session does not belong to one of the agents. Repeated until it succeeds. */
  readTranscript(
    agentIds: readonly string[],
    sessionId: string,
    afterPosition: bigint,
  ): Promise<{ entries: TranscriptEntry[]; more: boolean }>;
}
