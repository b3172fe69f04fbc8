import type { HandlerContext } from "@connectrpc/connect";
import type { Caller, RecordChanges } from "@openhermit/caller";
import type { Database, Sql } from "@openhermit/postgres";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import type { LedgerTurn, RefusalReason, RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import type { Ephemeral, TurnChange } from "@openhermit/protocol/mesh/v1/outbox";
import type { TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";
import type { Log } from "@openhermit/telemetry";
import type { ConnectRouter } from "@connectrpc/connect";
import type { SessionsTiming } from "./timing.ts";

/** What the sessions need of the rest of the gateway. */
export interface SessionsPorts {
  /** From memory. Throws unavailable as long as the agents were never read. */
  agentForTurn(agentId: string): { state: "unknown" | "stopped" | "ready" };
  /** False when no sidecar that hosts the agent is ready on this gateway, or too much waits for it already. */
  offerTurn(agentId: string, turn: RunTurn): boolean;
  /** False when no sidecar that hosts the agent is attached to this gateway. */
  cancelTurn(agentId: string, turnId: string, reason: string): boolean;
  /** Whether a sidecar that hosts the agent is attached to this gateway. */
  hasLink(agentId: string): boolean;
  /** Stores events of the gateway itself in the activity log. */
  recordEvents(events: Event[]): Promise<void>;
}

/** A sidecar and the agents it hosts. */
export interface HostedAgents {
  readonly sidecarId: string;
  readonly agentIds: readonly string[];
}

/** What sidecars said about turns: what commits together. */
export interface TurnBatch {
  readonly entries: readonly TranscriptEntry[];
  readonly turnChanges: readonly TurnChange[];
}

/** What becomes of the turns in a ledger. */
export interface ReconciledTurns {
  /** The turns that have ended or were given to another attempt; the sidecar stops them. */
  readonly deadTurnIds: string[];
  /** The turns of agents that the sidecar does not host. */
  readonly foreignTurnIds: string[];
}

/** One page of a transcript. */
export interface TranscriptPage {
  readonly entries: TranscriptEntry[];
  /** Whether there are more after the last. */
  readonly more: boolean;
}

/** What the sessions service is made of. */
export interface SessionsServiceOptions {
  database: Database;
  log: Log;
  caller(context: HandlerContext): Caller;
  /** Where the changes of a call are written down, within their transaction. */
  audit(context: HandlerContext): RecordChanges;
  ports: SessionsPorts;
  /** A name of this gateway process that no other has, also not one before it. */
  gatewayId: string;
  /** Times and bounds other than the usual, for tests. */
  timing?: Partial<SessionsTiming>;
  /** A monotonic clock, in milliseconds. Default performance.now. */
  now?: () => number;
}

/** How many turns this gateway has in hand. */
export interface TurnCounts {
  /** Offered by this gateway or adopted by it, and not ended. */
  readonly live: number;
  /** Open streams of SendMessage and WatchTurn. */
  readonly subscribers: number;
}

/** Sessions, turns and transcripts. */
export interface SessionsService {
  routes(router: ConnectRouter): void;
  /** Listens to the other gateways and starts the tasks. The database is migrated. */
  start(): Promise<void>;
  /** Ends the tasks and the streams; turns go on. */
  close(): Promise<void>;
  counts(): TurnCounts;

  /**
   * Compares the turns of a ledger with the stored ones, before Welcome: what the sidecar still has is adopted, what it
   * has lost is queued again or ends `interrupted`. Rejects without a database; nothing has changed then.
   */
  reconcileTurns(link: HostedAgents, ledgerTurns: readonly LedgerTurn[]): Promise<ReconciledTurns>;
  /** Turns of these agents may be offered. */
  linkReady(agentIds: readonly string[]): void;
  turnAccepted(turnId: string, attempt: number): void;
  turnRefused(turnId: string, attempt: number, reason: RefusalReason, detail: string): void;
  /** At most two statements, for parts of one statement. Throws MeshError invalid_argument for an entry that can't be stored. */
  ingestStatements(batch: TurnBatch): Sql[];
  /** After the commit: shows it to the subscribers and lets the next turns run. */
  ingested(batch: TurnBatch): void;
  /** Who sent the message of a turn of the agent; empty when this gateway does not have the turn in hand. From memory. */
  senderOf(turnId: string, agentId: string): string;
  /** Shown at once, in the tick of the call. */
  ephemeral(items: readonly Ephemeral[], sidecarId: string): void;
  /** At most 1 MiB, at least one entry if there is any; empty when the session is not of one of the agents. */
  readTranscript(agentIds: readonly string[], sessionId: string, afterPosition: bigint): Promise<TranscriptPage>;
}
