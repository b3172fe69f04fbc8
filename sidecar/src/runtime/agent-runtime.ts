import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import type { Log, Telemetry } from "@openhermit/telemetry";
import type { TurnJournal, TurnOutcome } from "./turn-journal.ts";

/** One turn to run. */
export interface RuntimeTurn {
  turnId: string;
  /** From 1. */
  attempt: number;
  sessionId: string;
  userId: string;
  channel: string;
  message: string;
  /** The W3C trace context of the caller; may be empty. */
  traceparent: string;
}

/** What an agent's runtime needs. */
export interface AgentRuntimeOptions {
  agentId: string;
  /** The folder that the agent's children start in. */
  workspace: string;
  log: Log;
  telemetry: Telemetry;
  /** The environment that API keys are read from, and PATH, HOME, LANG and TMPDIR of children. */
  env: Readonly<Record<string, string | undefined>>;
  /** The marker that every child process carries. */
  owner: string;
  /** Called after a component's health has changed; read it with `health()`. */
  onHealthChanged: () => void;
}

/** One agent on its sidecar: its model, its tools, its turns. */
export interface AgentRuntime {
  /**
   * Takes a snapshot; replaces only what changed and does not wait for MCP servers. Running turns keep what they started with.
   * Throws a MeshError when the snapshot can't be applied; the one before stays.
   */
  apply(snapshot: Snapshot): Promise<void>;
  /** Runs a turn to its end. Never throws. An abort closes the model's HTTP request at once. */
  runTurn(turn: RuntimeTurn, journal: TurnJournal, signal: AbortSignal): Promise<TurnOutcome>;
  /** The components: `model`, and `mcp:<server>` for each server. */
  health(): ComponentHealth[];
  /** Ends every connection and child process. */
  close(): Promise<void>;
}

/** Makes an agent's runtime; it does nothing before its first snapshot. */
export declare function createAgentRuntime(options: AgentRuntimeOptions): AgentRuntime;
