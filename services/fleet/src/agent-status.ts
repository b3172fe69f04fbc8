import { AgentState, DesiredState, Launcher } from "@openhermit/protocol/fleet/v1/agent";

/** What is observed of an agent's link, by the gateway that holds it. */
export interface LinkObservation {
  readonly sidecarId: string;
  readonly attached: boolean;
  /** Whether a snapshot was applied on this attach. */
  readonly ready: boolean;
  /** When it was attached or lost. Undefined when it never was. */
  readonly since: Date | undefined;
  /** Why it is lost. */
  readonly detail: string;
  readonly epoch: bigint;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly appliedGeneration: bigint;
  /** Why the newest snapshot was rejected; empty when it was not. */
  readonly rejectedReason: string;
  /** The generation that was rejected; 0 when none was. */
  readonly rejectedGeneration: bigint;
}

/**
 * Where the process of a sidecar is in its life, as the gateway sees that supervises it: none was ever wanted; starting;
 * adopted from an earlier run of the gateway; stopping; crashed and waiting for its next start; stopped.
 */
export type ProcessPhase = "none" | "starting" | "adopted" | "stopping" | "crashed" | "stopped";

/** What is observed of a sidecar's process. */
export interface ProcessObservation {
  readonly phase: ProcessPhase;
  readonly since: Date | undefined;
  readonly detail: string;
  /** Restarts after a crash since the sidecar last ran well for ten minutes. */
  readonly restartCount: number;
  readonly nextStartTime: Date | undefined;
}

/** All that is observed of an agent. */
export interface Observation {
  readonly link: LinkObservation;
  readonly process: ProcessObservation;
}

/** What an observation is held against. */
export interface DesiredRun {
  readonly desiredState: DesiredState;
  /** The effective one. */
  readonly launcher: Launcher;
  /** When the desired state last changed. */
  readonly desiredSince: Date;
  /** The generation that it should run with. Left out where it is not known. */
  readonly generation?: bigint;
}

/** What people see. */
export interface ObservedState {
  readonly state: AgentState;
  readonly since: Date;
  readonly detail: string;
}

/** Nothing was ever seen. */
export const NEVER_OBSERVED: Observation = {
  link: {
    sidecarId: "",
    attached: false,
    ready: false,
    since: undefined,
    detail: "",
    epoch: 0n,
    host: "",
    pid: 0,
    version: "",
    appliedGeneration: 0n,
    rejectedReason: "",
    rejectedGeneration: 0n,
  },
  process: { phase: "none", since: undefined, detail: "", restartCount: 0, nextStartTime: undefined },
};

/** The state of an agent: a pure function of what is wanted and what is observed, so that no two writers can disagree. */
export function observedState(wanted: DesiredRun, { link, process }: Observation): ObservedState {
  const is = (state: AgentState, since: Date | undefined, detail = ""): ObservedState => ({
    state,
    since: since === undefined || since < wanted.desiredSince ? wanted.desiredSince : since,
    detail,
  });
  const isExternal = wanted.launcher === Launcher.EXTERNAL;

  if (wanted.desiredState === DesiredState.STOPPED) {
    if (isExternal) {
      const detail = link.attached
        ? "its sidecar is still attached and gets no messages; end it where it was started"
        : "";
      return is(AgentState.STOPPED, wanted.desiredSince, detail);
    }
    const runs = process.phase === "starting" || process.phase === "adopted" || process.phase === "stopping";
    if (runs) return is(AgentState.STOPPING, process.since, "its turns are draining");
    return is(AgentState.STOPPED, process.since);
  }

  if (!isExternal && process.phase === "crashed") return is(AgentState.CRASHED, process.since, process.detail);
  if (!isExternal && process.phase === "stopping") return is(AgentState.STOPPING, process.since, process.detail);
  if (link.attached) {
    const rejected = link.rejectedReason === "" ? "" : `it rejected its newest configuration: ${link.rejectedReason}`;
    if (link.ready) return is(AgentState.ONLINE, link.since, behind(wanted, link) + rejected);
    return is(AgentState.STARTING, link.since, rejected === "" ? "its sidecar reads its configuration" : rejected);
  }
  if (isExternal) {
    if (link.since === undefined) return is(AgentState.STARTING, undefined, "waits for its sidecar to join");
    return is(AgentState.UNREACHABLE, link.since, link.detail);
  }
  if (
    process.phase === "starting" &&
    !(link.since !== undefined && process.since !== undefined && link.since > process.since)
  ) {
    return is(AgentState.STARTING, process.since, process.detail);
  }
  if (process.phase === "none" || process.phase === "stopped" || link.since === undefined) {
    return is(AgentState.STARTING, process.since, "waits for a gateway to start its sidecar");
  }
  return is(AgentState.UNREACHABLE, link.since, link.detail);
}

function behind({ generation = 0n }: DesiredRun, { appliedGeneration, rejectedReason }: LinkObservation): string {
  if (appliedGeneration >= generation) return "";
  const sentence = `Behind: runs generation ${appliedGeneration}, should run ${generation}`;
  return rejectedReason === "" ? `${sentence}.` : `${sentence}; `;
}
