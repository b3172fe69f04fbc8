import { toError } from "@openhermit/errors";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";

import type { AgentRuntime } from "../runtime/agent-runtime.ts";

/** One agent of this sidecar: its runtime and the snapshot in force. */
export interface HostedAgent {
  readonly agentId: string;
  /** The snapshot in force; undefined before the first that could be applied. */
  readonly snapshot: Snapshot | undefined;
  /** Resolves when the snapshots that came so far are applied or rejected; undefined when there is nothing to wait for. */
  readonly applying: Promise<void> | undefined;
  /** The runtime; undefined before the first snapshot. */
  readonly runtime: AgentRuntime | undefined;
  /** Takes a snapshot. Of those that wait only the newest is applied; an older generation than that in force is not. */
  take(snapshot: Snapshot): void;
  /** The components of the runtime. */
  health(): ComponentHealth[];
  /** Ends the runtime. */
  close(): Promise<void>;
}

/** What a hosted agent needs. */
export interface HostedAgentOptions {
  agentId: string;
  /** Makes the runtime. Called once, with the first snapshot. */
  createRuntime: () => Promise<AgentRuntime>;
  /** A snapshot is in force, or was already. */
  onApplied: (snapshot: Snapshot) => void;
  /** A snapshot can't be used. */
  onRejected: (snapshot: Snapshot, error: Error) => void;
}

/** Makes an agent that waits for its first snapshot. */
export function createHostedAgent(options: HostedAgentOptions): HostedAgent {
  const { agentId, createRuntime, onApplied, onRejected } = options;
  let runtime: AgentRuntime | undefined;
  let snapshot: Snapshot | undefined;
  let wanted: Snapshot | undefined;
  let applying: Promise<void> | undefined;
  let closed = false;

  const apply = async (next: Snapshot): Promise<void> => {
    if (snapshot !== undefined && next.generation <= snapshot.generation) return onApplied(snapshot);
    try {
      runtime ??= await createRuntime();
      await runtime.apply(next);
    } catch (error) {
      return onRejected(next, toError(error));
    }
    snapshot = next;
    onApplied(next);
  };
  const applyWanted = async (): Promise<void> => {
    while (wanted !== undefined && !closed) {
      const next = wanted;
      wanted = undefined;
      await apply(next);
    }
    applying = undefined;
  };

  return {
    agentId,
    get snapshot() {
      return snapshot;
    },
    get applying() {
      return applying;
    },
    get runtime() {
      return runtime;
    },
    take(next) {
      if (wanted !== undefined && next.generation < wanted.generation) return;
      wanted = next;
      applying ??= applyWanted();
    },
    health: () => runtime?.health() ?? [],
    async close() {
      closed = true;
      await applying;
      await runtime?.close();
    },
  };
}
