import type { LinkObservation, Observation, ProcessObservation } from "./agent-status.ts";
import { NEVER_OBSERVED } from "./agent-status.ts";
import type { FleetEvents } from "./fleet-events.ts";
import type { DetachReason, Link } from "./fleet-ports.ts";

/** What this gateway itself sees of links and processes, and what of it is not stored yet. */
export interface Observations {
  attached(link: Link): void;
  detached(link: { sidecarId: string; agentIds: readonly string[]; epoch: bigint; reason: DetachReason }): void;
  answered(answer: { agentId: string; generation: bigint; rejectedReason: string }): void;
  process(agentId: string, observation: ProcessObservation): void;
  /** What was seen of an agent, by this gateway alone. */
  of(agentId: string): Observation;
  /** Takes what is not stored yet. What is taken and can't be stored is given back with `giveBack`. */
  take(): Unstored;
  giveBack(unstored: Unstored): void;
  /** All that holds now counts as not stored: others may have judged this gateway gone. */
  touchAll(): void;
  forget(agentId: string): void;
}

/** Observations to be stored, each with its agent. */
export interface Unstored {
  readonly links: readonly (LinkObservation & { agentId: string })[];
  readonly processes: readonly (ProcessObservation & { agentId: string })[];
}

const LOST: Record<Exclude<DetachReason, "replaced">, string> = {
  lost: "its link broke; it attaches again by itself",
  lease: "it has been silent for longer than its lease",
  drained: "its sidecar has drained and left",
};

/** Keeps observations in memory; calls `onChange` when there is something to store. */
export function createObservations({ events, onChange }: { events: FleetEvents; onChange: () => void }): Observations {
  const links = new Map<string, LinkObservation>();
  const processes = new Map<string, ProcessObservation>();
  const dirtyLinks = new Set<string>();
  const dirtyProcesses = new Set<string>();

  const setLink = (agentId: string, link: LinkObservation): void => {
    links.set(agentId, link);
    dirtyLinks.add(agentId);
    onChange();
  };
  const pick = <T>(ids: ReadonlySet<string>, from: ReadonlyMap<string, T>): (T & { agentId: string })[] =>
    [...ids].flatMap((agentId) => {
      const value = from.get(agentId);
      return value === undefined ? [] : [{ ...value, agentId }];
    });

  return {
    attached({ sidecarId, agentIds, host, pid, version, epoch }) {
      for (const agentId of agentIds) {
        const before = links.get(agentId);
        if (before !== undefined && before.sidecarId === sidecarId && before.epoch > epoch) continue;
        const { appliedGeneration } = before ?? NEVER_OBSERVED.link;
        setLink(agentId, {
          sidecarId,
          attached: true,
          ready: false,
          since: new Date(),
          detail: "",
          epoch,
          host,
          pid,
          version,
          appliedGeneration,
          rejectedReason: "",
          rejectedGeneration: 0n,
        });
        events.sidecarChanged(agentId, sidecarId, "attached", `from ${host}, process ${pid}`);
      }
    },
    detached({ sidecarId, agentIds, epoch, reason }) {
      for (const agentId of agentIds) {
        const before = links.get(agentId);
        if (before === undefined || before.sidecarId !== sidecarId || before.epoch !== epoch || !before.attached)
          continue;
        if (reason === "replaced") {
          // Whoever holds the newer link says how it is.
          links.delete(agentId);
          continue;
        }
        const detail = LOST[reason];
        setLink(agentId, { ...before, attached: false, ready: false, since: new Date(), detail });
        events.sidecarChanged(agentId, sidecarId, "detached", detail);
      }
    },
    answered({ agentId, generation, rejectedReason }) {
      const before = links.get(agentId);
      if (before === undefined || !before.attached) return;
      const isNews = generation !== before.appliedGeneration || rejectedReason !== before.rejectedReason;
      if (rejectedReason !== "") setLink(agentId, { ...before, rejectedReason, rejectedGeneration: generation });
      else {
        const since = before.ready ? before.since : new Date();
        setLink(agentId, {
          ...before,
          ready: true,
          since,
          appliedGeneration: generation,
          rejectedReason,
          rejectedGeneration: 0n,
        });
      }
      if (isNews) events.configChanged(agentId, before.sidecarId, generation, rejectedReason);
    },
    process(agentId, observation) {
      processes.set(agentId, observation);
      dirtyProcesses.add(agentId);
      onChange();
    },
    of: (agentId) => ({
      link: links.get(agentId) ?? NEVER_OBSERVED.link,
      process: processes.get(agentId) ?? NEVER_OBSERVED.process,
    }),
    take() {
      const unstored = { links: pick(dirtyLinks, links), processes: pick(dirtyProcesses, processes) };
      dirtyLinks.clear();
      dirtyProcesses.clear();
      return unstored;
    },
    giveBack(unstored) {
      for (const { agentId } of unstored.links) dirtyLinks.add(agentId);
      for (const { agentId } of unstored.processes) dirtyProcesses.add(agentId);
    },
    touchAll() {
      for (const agentId of links.keys()) dirtyLinks.add(agentId);
      for (const agentId of processes.keys()) dirtyProcesses.add(agentId);
      onChange();
    },
    forget(agentId) {
      links.delete(agentId);
      processes.delete(agentId);
    },
  };
}
