import { create } from "@bufbuild/protobuf";
import { AttachResponseSchema, type AttachResponse } from "@openhermit/protocol/mesh/v1/link_service";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { createPeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import type { LinkRegistry } from "./link-registry.ts";
import type { SidecarLink } from "./sidecar-link.ts";

/** How many snapshots are compiled by one call: a change of every agent costs each domain one statement, not one for a few. */
const COMPILE_AT_ONCE = 2000;
/** A lost poke is made good after this time at the latest. */
const PERIOD_MS = 60_000;

/** Sends the desired state down. */
export interface SnapshotPush {
  /** Compiles again what is hosted here of these agents, and sends what changed. Pokes of the same time become one. */
  refresh(agentIds: readonly string[] | "all"): void;
  stop(): Promise<void>;
}

/** Creates the push; it works on a poke, and once a minute for all agents hosted here. */
export function createSnapshotPush(options: {
  registry: LinkRegistry;
  compile(agentIds: readonly string[]): Promise<Snapshot[]>;
  /** Called with agents of a link whose first snapshot was sent. */
  onReady(agentIds: readonly string[]): void;
  log: Log;
}): SnapshotPush {
  const { registry, compile, onReady, log } = options;
  const dirty = new Set<string>();
  const sending = new WeakSet<SidecarLink>();
  let lastFullRun = performance.now();

  const task = createPeriodicTask({
    name: "push-snapshots",
    periodMs: PERIOD_MS,
    onError: (error) => log.warn({ error }, "snapshots could not be compiled, retrying"),
    async run() {
      if (performance.now() - lastFullRun >= PERIOD_MS) {
        lastFullRun = performance.now();
        for (const agentId of registry.agentIds()) dirty.add(agentId);
      }
      while (dirty.size > 0) {
        const wanted: string[] = [];
        for (const agentId of dirty) {
          dirty.delete(agentId);
          if (registry.hosting(agentId).length > 0) wanted.push(agentId);
          if (wanted.length === COMPILE_AT_ONCE) break;
        }
        if (wanted.length === 0) continue;
        let snapshots: Snapshot[];
        try {
          snapshots = await compile(wanted);
        } catch (error) {
          for (const agentId of wanted) dirty.add(agentId);
          throw error;
        }
        hand(wanted, snapshots);
      }
    },
  });

  function hand(agentIds: readonly string[], snapshots: readonly Snapshot[]): void {
    const byAgent = new Map(snapshots.map((snapshot) => [snapshot.agentId, snapshot]));
    const touched = new Set<SidecarLink>();
    for (const agentId of agentIds) {
      const snapshot = byAgent.get(agentId);
      for (const link of registry.hosting(agentId)) {
        if (!link.welcomed) continue;
        link.waitingSnapshots.set(agentId, snapshot);
        touched.add(link);
      }
    }
    for (const link of touched) {
      if (!sending.has(link)) void send(link);
    }
  }

  /** Sends what waits, at the pace of the link; a newer snapshot replaces one that still waits. */
  const send = async (link: SidecarLink): Promise<void> => {
    sending.add(link);
    const ready: string[] = [];
    for (;;) {
      const [next] = link.waitingSnapshots;
      if (next === undefined || link.outgoing.ended) break;
      const [agentId, snapshot] = next;
      const sent = link.sentGenerations.get(agentId);
      if (snapshot === undefined || sent !== snapshot.generation) {
        const [message, bytes] = messageOf(agentId, snapshot);
        await link.outgoing.room(bytes);
        if (link.waitingSnapshots.get(agentId) !== snapshot || !link.outgoing.push(message, bytes)) continue;
        if (snapshot === undefined) link.sentGenerations.delete(agentId);
        else link.sentGenerations.set(agentId, snapshot.generation);
        if (snapshot !== undefined && sent === undefined) ready.push(agentId);
      }
      link.waitingSnapshots.delete(agentId);
    }
    sending.delete(link);
    if (ready.length > 0 && !link.outgoing.ended) onReady(ready);
  };

  return {
    refresh(agentIds) {
      for (const agentId of agentIds === "all" ? registry.agentIds() : agentIds) dirty.add(agentId);
      if (dirty.size > 0) task.poke();
    },
    stop: () => task.stop(),
  };
}

/** The message, and about how large it is in bytes, without encoding it. */
function messageOf(agentId: string, snapshot: Snapshot | undefined): [AttachResponse, number] {
  if (snapshot === undefined) {
    return [create(AttachResponseSchema, { message: { case: "agentRemoved", value: { agentId } } }), 100];
  }
  const skillBytes = snapshot.skills.reduce((sum, { description }) => sum + 200 + description.length, 0);
  const bytes = 1000 + (snapshot.spec?.instructions.length ?? 0) + 500 * snapshot.mcpServers.length + skillBytes;
  return [create(AttachResponseSchema, { message: { case: "snapshot", value: snapshot } }), bytes];
}
