import { MeshError, toError } from "@openhermit/errors";
import type { ComponentHealth } from "@openhermit/protocol/health/v1/health";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { createBackoff } from "@openhermit/reconcile";

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
  /** A snapshot can't be used. Called again while it is tried again only when the reason is another one. */
  onRejected: (snapshot: Snapshot, error: Error) => void;
}

/** The pauses before a rejected snapshot is tried again, in milliseconds. */
const RETRY = { initialMs: 1000, maxMs: 15_000 };

/**
 * Makes an agent that waits for its first snapshot. A snapshot that is rejected for a reason that may pass (the error is one of a part that is
 * away, or of a state) is tried again by itself for as long as no newer one comes; turns do not wait for these tries.
 */
export function createHostedAgent(options: HostedAgentOptions): HostedAgent {
  const { agentId, createRuntime, onApplied, onRejected } = options;
  const backoff = createBackoff(RETRY);
  let runtime: AgentRuntime | undefined;
  let snapshot: Snapshot | undefined;
  let wanted: Snapshot | undefined;
  let applying: Promise<void> | undefined;
  let retrying: Promise<void> | undefined;
  let retryTimer: NodeJS.Timeout | undefined;
  /** What is being applied, and how to end that. */
  let current: { generation: bigint; abort: AbortController } | undefined;
  let rejected: { generation: bigint; reason: string } | undefined;
  let closed = false;

  const apply = async (next: Snapshot): Promise<void> => {
    if (snapshot !== undefined && next.generation <= snapshot.generation) return onApplied(snapshot);
    const abort = new AbortController();
    current = { generation: next.generation, abort };
    try {
      runtime ??= await createRuntime();
      await runtime.apply(next, abort.signal);
    } catch (thrown) {
      if (!abort.signal.aborted) reject(next, toError(thrown));
      return;
    } finally {
      current = undefined;
    }
    snapshot = next;
    rejected = undefined;
    backoff.reset();
    onApplied(next);
  };
  const reject = (next: Snapshot, error: Error): void => {
    const { generation } = next;
    const isNews = rejected?.generation !== generation || rejected.reason !== error.message;
    rejected = { generation, reason: error.message };
    if (isNews) onRejected(next, error);
    if (!mayPass(error) || wanted !== undefined || closed) return;
    retryTimer = setTimeout(() => {
      retrying = apply(next).finally(() => {
        retrying = undefined;
      });
    }, backoff.next()).unref();
  };
  const applyWanted = async (): Promise<void> => {
    await retrying;
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
      const { generation } = next;
      const newest = [wanted, current, rejected].find((one) => one !== undefined && one.generation > generation);
      if (newest !== undefined) return;
      clearTimeout(retryTimer);
      // The same one again is told again how it stands; a newer one ends the waiting for what is outdated.
      if (rejected?.generation === generation) rejected = undefined;
      else backoff.reset();
      if (retrying !== undefined || (current !== undefined && current.generation < generation)) {
        current?.abort.abort(new Error("a newer snapshot has come"));
      }
      wanted = next;
      applying ??= applyWanted();
    },
    health: () => runtime?.health() ?? [],
    async close() {
      closed = true;
      clearTimeout(retryTimer);
      current?.abort.abort(new Error("the agent is closed"));
      await applying;
      await retrying;
      await runtime?.close();
    },
  };
}

function mayPass(error: Error): boolean {
  return error instanceof MeshError && (error.code === "unavailable" || error.code === "failed_precondition");
}
