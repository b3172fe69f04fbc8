import { fstatSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "@openhermit/telemetry";
import type { ProcessObservation } from "../agent-status.ts";
import type { FleetEvents } from "../fleet-events.ts";
import type { LauncherHome } from "./launcher-home.ts";
import { fingerprintOf, secretEnvironment, secretValues, sidecarEnvironment } from "./sidecar-environment.ts";
import { createSidecarHome } from "./sidecar-home.ts";
import {
  createSidecarProcess,
  type LaunchPlan,
  type SidecarProcess,
  type SupervisionTimes,
} from "./sidecar-process.ts";

/** How sidecars are started on this host. */
export interface LauncherOptions {
  /** The gateway's home; sidecars live in `<home>/sidecars/<agent id>/`. */
  home: string;
  /** What starts a sidecar: the program and its arguments, for example `[process.execPath, "…/sidecar/src/main.ts"]`. */
  command: readonly [string, ...string[]];
  /** The gateway's environment. Only the variables a sidecar needs are taken from it. */
  environment: Readonly<Record<string, string | undefined>>;
  /** The variables of it that MCP servers may name as secrets. Default none. */
  mcpSecrets?: readonly string[];
  /** An open file descriptor whose end of file tells a sidecar that its supervisor is gone. */
  lifelineFd?: number;
  /** For patience other than the usual, for example in tests. */
  times?: Partial<SupervisionTimes>;
}

/** What a launcher needs. */
export interface LauncherPorts {
  createJoinToken(sidecarId: string, agentIds: string[]): Promise<{ joinToken: string }>;
  drainSidecar(sidecarId: string, graceMs: number): Promise<void>;
  gatewayUrl(): string;
  secretNames(agentIds: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>>;
}

/** What a launcher is made of. */
export interface ProcessLauncherOptions {
  options: LauncherOptions;
  home: LauncherHome;
  ports: LauncherPorts;
  events: FleetEvents;
  log: Log;
  /** Told of each change of a process. */
  observe(agentId: string, observation: ProcessObservation): void;
  /** Told when a sidecar that should not run is gone. */
  onGone(agentId: string): void;
}

/** Runs one sidecar for each agent, as child processes of the gateway. Its id is that of the agent. */
export interface ProcessLauncher {
  /** The marker of an agent's sidecar: stands in the environment of all its processes. */
  markerOf(agentId: string): string;
  /** The agent's sidecar should run. `apiKeyEnv` names the variable with its provider's key; empty for none. */
  run(agentId: string, wanted: { apiKeyEnv: string; restartNumber: bigint }): void;
  /** The agent's sidecar should not run, whether this launcher knows of it or an earlier one started it. */
  end(agentId: string): void;
  /** Does not wait for the rest of a pause after a crash. */
  startNow(agentId: string): void;
  /** The agents whose sidecar runs, or does not run yet or any more. */
  agentIds(): readonly string[];
  /** Forgets all sidecars and lets them run on. */
  letGoAll(): void;
  /** Ends all sidecars side by side; resolves when they are gone. */
  endAll(graceMs: number): Promise<void>;
}

const TIMES: SupervisionTimes = {
  drainGraceMs: 10_000,
  killGraceMs: 2_000,
  firstRestartMs: 250,
  maxRestartMs: 60_000,
  healthyMs: 600_000,
};

/** What the kernel holds longer than this after SIGKILL must not keep the gateway from stopping. */
const END_DEADLINE_MS = 15_000;

/** Makes a launcher that runs nothing yet. */
export function createProcessLauncher(given: ProcessLauncherOptions): ProcessLauncher {
  const { options, home, ports, events, log } = given;
  const times = { ...TIMES, ...options.times };
  const lifeline = describeLifeline(options.lifelineFd);
  const secrets = secretValues(options.environment);
  const processes = new Map<string, SidecarProcess>();
  const markerOf = (agentId: string): string => `${home.id}/${agentId}`;
  const homeOf = (agentId: string) => createSidecarHome(join(home.path, agentId));

  function processOf(agentId: string): SidecarProcess {
    const known = processes.get(agentId);
    if (known !== undefined) return known;
    const made = createSidecarProcess({
      agentId,
      home: homeOf(agentId),
      marker: markerOf(agentId),
      command: options.command,
      lifelineFd: options.lifelineFd,
      times,
      secrets,
      createJoinToken: () => ports.createJoinToken(agentId, [agentId]),
      async secretEnvironment() {
        const names = await ports.secretNames([agentId]);
        return secretEnvironment(options.environment, names.get(agentId) ?? [], options.mcpSecrets ?? []);
      },
      drain: (graceMs) => ports.drainSidecar(agentId, graceMs),
      observe: (observation) => given.observe(agentId, observation),
      events,
      log,
    });
    processes.set(agentId, made);
    return made;
  }

  function planOf(agentId: string, wanted: { apiKeyEnv: string; restartNumber: bigint }): LaunchPlan {
    const { path, joinTokenFile } = homeOf(agentId);
    const environment = sidecarEnvironment({
      from: options.environment,
      gatewayUrl: ports.gatewayUrl(),
      home: path,
      joinTokenFile,
      apiKeyEnv: wanted.apiKeyEnv,
      hasLifeline: options.lifelineFd !== undefined,
    });
    const fingerprint = fingerprintOf(options.command, environment, lifeline);
    return { environment, fingerprint, restartNumber: wanted.restartNumber };
  }

  return {
    markerOf,
    run: (agentId, wanted) => processOf(agentId).run(planOf(agentId, wanted)),
    end(agentId) {
      const process = processOf(agentId);
      process.end();
      void process.ended.then(() => {
        if (!process.idle || processes.get(agentId) !== process) return;
        processes.delete(agentId);
        given.onGone(agentId);
      });
    },
    startNow: (agentId) => processes.get(agentId)?.startNow(),
    agentIds: () => [...processes.keys()],
    letGoAll() {
      for (const process of processes.values()) process.letGo();
      processes.clear();
    },
    async endAll(graceMs) {
      const all = [...processes.values()];
      for (const process of all) process.end(graceMs);
      const ended = Promise.all(all.map((process) => process.ended)).then(() => true);
      if (!(await Promise.race([ended, after(graceMs + times.killGraceMs + END_DEADLINE_MS)]))) {
        log.error({ agent_ids: all.flatMap(({ agentId, idle }) => (idle ? [] : [agentId])) }, "sidecars do not end");
        for (const process of all) process.letGo();
      }
      processes.clear();
    },
  };
}

function after(ms: number): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), ms).unref();
  });
}

/**
 * Tells one lifeline from another: a sidecar with the lifeline of a supervisor that is gone is about to end, and is
 * replaced rather than adopted.
 */
function describeLifeline(fd: number | undefined): string {
  if (fd === undefined) return "";
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}
