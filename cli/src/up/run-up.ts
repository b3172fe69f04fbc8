import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { Cli } from "../cli.ts";
import type { CliConfig } from "../config.ts";
import { readContexts } from "../contexts/context-store.ts";
import { ExitCode } from "../exit-code.ts";
import { findGateway } from "../find-gateway.ts";
import { createGateway, type Gateway } from "../gateway-client.ts";
import { applyManifest } from "../manifest/apply-manifest.ts";
import { prepareManifest, type PreparedManifest } from "../manifest/prepared-manifest.ts";
import { millisecondsText } from "../output/time-text.ts";
import { waitForEarlierGateway } from "./earlier-gateway.ts";
import { lockHome, openHome } from "./home-lock.ts";
import { createProgress, type Progress } from "./progress.ts";
import { superviseGateway, type GatewaySupervision } from "./supervise-gateway.ts";
import { upScreen } from "./up-screen.ts";
import { waitOnline } from "./wait-online.ts";
import { watchAgents } from "./watch-agents.ts";

/** What `up` was asked for. */
export interface UpRequest {
  /** Files and folders of the manifest that is applied at the start. */
  manifestFiles: readonly string[];
  /** The environment of the gateway. */
  environment: Readonly<Record<string, string | undefined>>;
  verbose: boolean;
}

/** How long the agents may take before the screen is shown without them. */
const ONLINE_DEADLINE_MS = 30_000;

/** Runs the fleet until a signal: lock, gateway, manifest, agents, screen, watch, drain. Throws CliError. */
export async function runUp(cli: Cli, request: UpRequest): Promise<void> {
  const startedAt = performance.now();
  const { home } = cli.config;
  const manifest = await prepareManifest(cli, "up", request.manifestFiles);
  openHome(home);
  const lock = lockHome(home);
  const progress = createProgress(cli.terminal, request.verbose);
  const stop = new AbortController();
  let supervision: GatewaySupervision | undefined;
  let signals = 0;
  const stopListening = cli.onInterrupt(() => {
    signals += 1;
    if (signals === 1) {
      progress.say("stopping: running turns get time to end; Ctrl-C again does not wait for them");
      stop.abort();
    } else {
      cli.setExitCode(ExitCode.interrupted);
      supervision?.hurry();
    }
  });
  let gateway: Gateway | undefined;
  try {
    await waitForEarlierGateway(home, stop.signal, (pid) =>
      progress.begin(`waiting for the gateway of an earlier run to end (process ${pid})`),
    );
    progress.begin("starting the gateway");
    const { environment } = request;
    supervision = await superviseGateway({ home, environment, progress, signal: stop.signal });
    const { url, ready } = supervision;
    const waysIn = await untilAborted(ready, stop.signal);
    // The gateway of this home, whatever else the flags, the environment and the contexts name.
    const place = { ...cli.config, homeGiven: true, url, context: undefined, token: environment["OPENHERMIT_TOKEN"] };
    gateway = createGateway(await findGateway({ ...place, token: place.token === "" ? undefined : place.token }));

    await timed(progress, "manifest applied", () =>
      applyPatiently(cli, gateway as Gateway, manifest, progress, stop.signal),
    );
    const agents = await timed(progress, "agents online", () => awaitAgents(gateway as Gateway, progress, stop.signal));
    progress.clear();
    const readyMs = performance.now() - startedAt;
    const context = await contextInForce(cli.config);
    cli.terminal.line(upScreen(cli.terminal, { url, ...waysIn, home, context, agents, readyMs }));
    await watchAgents(gateway, { known: agents, signal: stop.signal, tell: progress.say });
  } catch (error) {
    // Asked to stop while it started: that is no failure.
    if (!stop.signal.aborted) throw error;
  } finally {
    progress.clear();
    gateway?.close();
    const began = performance.now();
    if (supervision) await supervision.stop();
    if (signals > 0) progress.say(`stopped (${millisecondsText(performance.now() - began)})`);
    stopListening();
    lock.release();
  }
}

/** The context that the commands of another shell use instead of this home; undefined: none. Never fails. */
async function contextInForce({ configFolder, homeGiven }: CliConfig): Promise<string | undefined> {
  if (homeGiven) return undefined;
  return readContexts(configFolder).then(
    ({ current }) => current,
    () => undefined,
  );
}

async function timed<T>(progress: Progress, step: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  progress.done(step, performance.now() - began);
  return result;
}

/** Resolves with the promise; rejects as soon as the signal aborts. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  return Promise.race([promise, aborted.promise]).finally(() => signal.removeEventListener("abort", abort));
}

/** Applies the manifest, and tries again when the database goes away in between. */
async function applyPatiently(
  cli: Cli,
  gateway: Gateway,
  manifest: PreparedManifest,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const { label } = manifest.source;
  progress.begin(`applying ${label}`);
  for (;;) {
    try {
      await applyManifest(cli, gateway, manifest, signal);
      return;
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.Unavailable) throw error;
      progress.begin(`waiting to apply ${label}: ${error.rawMessage}`);
      await sleep(500, undefined, { signal });
    }
  }
}

async function awaitAgents(gateway: Gateway, progress: Progress, signal: AbortSignal): Promise<Agent[]> {
  return waitOnline(gateway, {
    deadlineMs: ONLINE_DEADLINE_MS,
    signal,
    onWaiting: (waiting, total) =>
      progress.begin(
        `waiting for ${waiting.length} of ${total} agents: ${waiting
          .slice(0, 8)
          .map((agent) => agent.id)
          .join(", ")}`,
      ),
  });
}
