import { toError } from "@openhermit/errors";
import { isAlive, killGroup, spawnGroup, sweep, type KillTarget, type ProcessExit } from "@openhermit/processes";
import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import type { ProcessObservation, ProcessPhase } from "../agent-status.ts";
import type { FleetEvents } from "../fleet-events.ts";
import { createBell } from "../bell.ts";
import { lastWords } from "./last-words.ts";
import { LIFELINE_FD } from "./sidecar-environment.ts";
import type { SidecarHome } from "./sidecar-home.ts";

/** How a sidecar should be started. One that was started otherwise is replaced. */
export interface LaunchPlan {
  readonly environment: Readonly<Record<string, string>>;
  readonly fingerprint: string;
  /** Another number than that of the running process asks for a restart. */
  readonly restartNumber: bigint;
}

/** How patient a supervisor is, in milliseconds. */
export interface SupervisionTimes {
  /** For the turns of a sidecar that is told to stop. */
  drainGraceMs: number;
  /** Between SIGTERM and SIGKILL, at least. */
  killGraceMs: number;
  /** The first pause after a crash. */
  firstRestartMs: number;
  /** The longest pause after a crash. */
  maxRestartMs: number;
  /** How long a sidecar must run until its crashes are forgotten. */
  healthyMs: number;
}

/** What one supervised sidecar is made of. */
export interface SidecarProcessOptions {
  agentId: string;
  home: SidecarHome;
  /** Stands in the environment of every process of this sidecar. */
  marker: string;
  command: readonly [string, ...string[]];
  lifelineFd: number | undefined;
  times: SupervisionTimes;
  /** Values that must not stand in what people see. */
  secrets: readonly string[];
  createJoinToken(): Promise<{ joinToken: string }>;
  /** The variables that its MCP servers need, as of its start. */
  secretEnvironment(): Promise<Readonly<Record<string, string>>>;
  drain(graceMs: number): Promise<void>;
  observe(observation: ProcessObservation): void;
  events: FleetEvents;
  log: Log;
}

/** One sidecar under supervision. What is wanted is set; a loop makes it so. */
export interface SidecarProcess {
  readonly agentId: string;
  /** It should run as planned. The old process is gone before a new one starts. */
  run(plan: LaunchPlan): void;
  /** It should not run. */
  end(graceMs?: number): void;
  /** Does not wait for the rest of a pause after a crash. */
  startNow(): void;
  /** Forgets the process and lets it run on. */
  letGo(): void;
  /** Resolves when it does not run and is not wanted, or was let go. Never rejects. */
  readonly ended: Promise<void>;
  /** Whether it does not run and is not wanted. */
  readonly idle: boolean;
}

interface Running {
  readonly target: KillTarget;
  readonly fingerprint: string;
  readonly restartNumber: bigint;
  readonly logOffset: number;
  readonly startedAt: number;
  readonly adopted: boolean;
  exit: ProcessExit | undefined;
  readonly exited: Promise<void>;
}

/** How often an adopted process is looked at; the exit of a child is told by the kernel. */
const ADOPTED_POLL_MS = 250;
/** A process that ends so soon after its adoption was ending anyway, since its supervisor had gone. */
const ADOPTED_GRACE_MS = 30_000;
const RETRY_MS = { initialMs: 250, maxMs: 5_000 };

/** Supervises one sidecar, beginning with the process that an earlier run of the gateway may have left. */
export function createSidecarProcess(options: SidecarProcessOptions): SidecarProcess {
  const { agentId, home, marker, command, times, events, log } = options;
  const fields = { agent_id: agentId };
  const bell = createBell();
  const pauses = createBackoff({ initialMs: times.firstRestartMs, maxMs: times.maxRestartMs });
  const retries = createBackoff(RETRY_MS);
  let wanted: LaunchPlan | undefined;
  let graceMs = times.drainGraceMs;
  let hurried = false;
  let released = false;
  let restartCount = 0;

  const observe = (phase: ProcessPhase, detail = "", nextStartTime?: Date): void => {
    if (!released) options.observe({ phase, since: new Date(), detail, restartCount, nextStartTime });
  };

  async function supervise(): Promise<void> {
    let running = await adopt();
    while (!released) {
      if (wanted === undefined) {
        await (running === undefined ? sweepLeftovers() : stop(running, "its turns are draining"));
        running = undefined;
        if (wanted === undefined) break;
      } else if (running === undefined) {
        running = await start(wanted);
      } else if (running.exit !== undefined) {
        await recover(running);
        running = undefined;
      } else if (running.fingerprint !== wanted.fingerprint || running.restartNumber !== wanted.restartNumber) {
        await stop(running, "it restarts with its new settings");
        running = undefined;
      } else {
        const healthyInMs = running.startedAt + times.healthyMs - performance.now();
        if (healthyInMs <= 0 && restartCount > 0) forgetCrashes(running);
        await Promise.race([running.exited, bell.rung(restartCount > 0 ? healthyInMs : undefined)]);
      }
    }
    observe("stopped");
    // At once, so that a plan that comes now begins anew.
    loop = undefined;
  }

  async function keepSupervising(): Promise<void> {
    const patience = createBackoff(RETRY_MS);
    while (!released) {
      try {
        return await supervise();
      } catch (error) {
        // A full or unreadable disk, for example. What runs is found again by its record and its marker.
        log.error({ ...fields, err: error }, "supervision of sidecar failed");
        await bell.rung(patience.next());
      }
    }
  }

  async function adopt(): Promise<Running | undefined> {
    const record = await home.readLaunch();
    if (record === undefined || !isAlive(record.identity)) return undefined;
    log.info({ ...fields, pid: record.identity.pid }, "sidecar adopted");
    observe("adopted");
    return watch({
      target: { identity: record.identity, marker },
      fingerprint: record.fingerprint,
      restartNumber: BigInt(record.restartNumber),
      logOffset: 0,
      adopted: true,
      exited: untilGone(record.identity),
    });
  }

  function watch(started: Omit<Running, "exit" | "startedAt" | "exited"> & { exited: Promise<ProcessExit> }): Running {
    const running: Running = {
      ...started,
      startedAt: performance.now(),
      exit: undefined,
      exited: started.exited.then((exit) => void (running.exit = exit)),
    };
    return running;
  }

  async function untilGone(identity: KillTarget["identity"]): Promise<ProcessExit> {
    while (isAlive(identity) && !released) await bell.rung(ADOPTED_POLL_MS);
    return { code: undefined, signal: undefined };
  }

  /** Undefined when it could not be started and a pause has passed, or when it is not wanted so any more. */
  async function start(plan: LaunchPlan): Promise<Running | undefined> {
    observe("starting", "its sidecar starts");
    try {
      await sweepLeftovers();
      await home.prepare();
      const [{ joinToken }, secrets] = await Promise.all([options.createJoinToken(), options.secretEnvironment()]);
      await home.writeJoinToken(joinToken);
      const running = released || wanted !== plan ? undefined : await spawn(plan, secrets);
      retries.reset();
      return running;
    } catch (error) {
      if (released) return undefined;
      // Nothing has run yet, so this is no crash: most often the database is away.
      const pauseMs = retries.next();
      log.warn({ ...fields, err: error, pause_ms: pauseMs }, "sidecar not started");
      observe(
        "starting",
        `its sidecar can't be started yet: ${toError(error).message}`,
        new Date(Date.now() + pauseMs),
      );
      await pause(pauseMs);
      return undefined;
    }
  }

  async function spawn(plan: LaunchPlan, secrets: Readonly<Record<string, string>>): Promise<Running> {
    const logFile = await home.openLog();
    try {
      const [program, ...args] = command;
      const lifeline = options.lifelineFd === undefined ? [] : [options.lifelineFd];
      const stdio: (number | "ignore")[] = ["ignore", logFile.fd, logFile.fd, ...lifeline];
      if (lifeline.length > 0 && stdio.length !== LIFELINE_FD + 1)
        throw new Error("the lifeline is in the wrong place");
      const env = { ...secrets, ...plan.environment };
      const group = await spawnGroup({ command: program, args, cwd: home.path, env, stdio, marker });
      group.child.unref();
      const { identity } = group;
      const { fingerprint, restartNumber } = plan;
      await home.writeLaunch({ identity, fingerprint, restartNumber: String(restartNumber) });
      log.info({ ...fields, pid: identity.pid, restart_count: restartCount }, "sidecar started");
      events.sidecarChanged(agentId, agentId, "started", `process ${identity.pid}`);
      return watch({
        target: group,
        fingerprint,
        restartNumber,
        logOffset: logFile.offset,
        adopted: false,
        exited: group.exited,
      });
    } finally {
      await logFile.close();
    }
  }

  /** After an exit that nobody asked for: what it left is ended, and a pause passes. */
  async function recover(running: Running): Promise<void> {
    const ran = performance.now() - running.startedAt;
    await home.forgetLaunch();
    if (running.adopted && ran < ADOPTED_GRACE_MS) return;
    if (ran >= times.healthyMs) forgetCrashes(running);
    const pauseMs = pauses.next();
    restartCount += 1;
    const tail = await home.logTail(running.logOffset).catch(() => "");
    const words = lastWords(tail, options.secrets);
    const detail = `${describeExit(running.exit)}${words === "" ? "" : `: ${words}`}`;
    log.warn(
      { ...fields, exit_code: running.exit?.code, signal: running.exit?.signal, pause_ms: pauseMs },
      "sidecar crashed",
    );
    events.sidecarCrashed(agentId, agentId, detail);
    observe("crashed", detail, new Date(Date.now() + pauseMs));
    await Promise.all([endSurely(running.target, Math.min(times.killGraceMs, 500)), pause(pauseMs)]);
  }

  async function stop(running: Running, detail: string): Promise<void> {
    observe("stopping", detail);
    const end = performance.now() + graceMs;
    const drained = options
      .drain(graceMs)
      .catch((error: unknown) => log.warn({ ...fields, err: error }, "sidecar not drained"));
    await Promise.race([drained, running.exited]);
    if (released) return;
    // A drained sidecar exits by itself; SIGTERM asks one to drain that is not attached to this gateway.
    await endSurely(running.target, Math.max(times.killGraceMs, end - performance.now()));
    await Promise.all([home.forgetLaunch(), home.removeJoinToken()]);
    log.info(fields, "sidecar stopped");
    events.sidecarChanged(agentId, agentId, "stopped", wanted === undefined ? "it was asked to stop" : detail);
  }

  async function endSurely(target: KillTarget, killGraceMs: number): Promise<void> {
    const patience = createBackoff(RETRY_MS);
    for (;;) {
      try {
        return await killGroup(target, { graceMs: killGraceMs });
      } catch (error) {
        // A new sidecar must not start beside it, however long the kernel holds it.
        log.error({ ...fields, err: error }, "sidecar does not end");
        observe("stopping", `its old sidecar does not end: ${toError(error).message}`);
        await bell.rung(patience.next());
        if (released) return;
      }
    }
  }

  async function sweepLeftovers(): Promise<void> {
    const count = await sweep(marker);
    if (count > 0) log.warn({ ...fields, count }, "processes of an earlier sidecar ended");
  }

  /** Ends early when it is told to hurry, to stop or to let go. */
  async function pause(forMs: number): Promise<void> {
    const end = performance.now() + forMs;
    hurried = false;
    for (let leftMs = forMs; leftMs > 0; leftMs = end - performance.now()) {
      if (hurried || released || wanted === undefined) return;
      await bell.rung(leftMs);
    }
  }

  function forgetCrashes(running: Running): void {
    pauses.reset();
    restartCount = 0;
    if (running.exit === undefined) observe(running.adopted ? "adopted" : "starting");
  }

  let loop: Promise<void> | undefined;
  const begin = (): void => {
    loop ??= keepSupervising();
  };

  return {
    agentId,
    run(plan) {
      const isSame = wanted?.fingerprint === plan.fingerprint && wanted.restartNumber === plan.restartNumber;
      if (loop !== undefined && isSame) return;
      wanted = plan;
      begin();
      bell.ring();
    },
    end(withGraceMs) {
      if (loop !== undefined && wanted === undefined && withGraceMs === undefined) return;
      wanted = undefined;
      graceMs = withGraceMs ?? times.drainGraceMs;
      begin();
      bell.ring();
    },
    startNow() {
      hurried = true;
      pauses.reset();
      bell.ring();
    },
    letGo() {
      released = true;
      bell.ring();
    },
    get ended() {
      return loop ?? Promise.resolve();
    },
    get idle() {
      return loop === undefined;
    },
  };
}

function describeExit(exit: ProcessExit | undefined): string {
  if (exit?.signal !== undefined) return `its sidecar was ended by ${exit.signal}`;
  return exit?.code === undefined ? "its sidecar exited" : `its sidecar exited with code ${exit.code}`;
}
