import { setTimeout as sleep } from "node:timers/promises";
import { millisecondsText } from "../output/time-text.ts";
import { startGatewayProcess, type GatewayProcess } from "./gateway-process.ts";
import type { Progress } from "./progress.ts";

/** A gateway that is started again when it crashes. */
export interface GatewaySupervision {
  /** Where the gateway listens; the same after each restart. */
  readonly url: string;
  readonly loginUrl: string | undefined;
  /** Drains and ends the gateway. Resolves when it has ended. */
  stop(): Promise<void>;
  /** Asks a gateway that drains to hurry, and ends it when it does not. */
  hurry(): void;
}

/** What superviseGateway needs. */
export interface SuperviseOptions {
  home: string;
  environment: Readonly<Record<string, string | undefined>>;
  progress: Progress;
  signal: AbortSignal;
}

const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 30_000;
/** A gateway that ran this long begins again with the first pause. */
const WELL_MS = 60_000;
/** A gateway that has not drained by then is ended. */
const STOP_PATIENCE_MS = 30_000;
const HURRY_PATIENCE_MS = 5000;

/** Starts the gateway and keeps it running. Throws CliError when the first start fails. */
export async function superviseGateway(options: SuperviseOptions): Promise<GatewaySupervision> {
  const { home, progress, signal } = options;
  let environment = options.environment;
  let stopping = false;
  // Each generation's lifeline stays open as long as this process lives: sidecars of an earlier one hang on it.
  const start = (): GatewayProcess =>
    startGatewayProcess({
      home,
      environment,
      onMessage: ({ step, ms }) => {
        if (step === undefined) return;
        if (ms === undefined) progress.begin(step);
        else progress.done(step, ms);
      },
    });
  let gateway = start();
  const killFirst = (): void => gateway.stop();
  signal.addEventListener("abort", killFirst, { once: true });
  const { url, loginUrl } = await gateway.ready;
  signal.removeEventListener("abort", killFirst);
  // With port 0 the system chose one; the next gateway takes the same, so that clients find it.
  environment = { ...environment, OPENHERMIT_LISTEN: new URL(url).host };

  const finished = keepRunning();

  async function keepRunning(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    let startedAt = Date.now();
    for (;;) {
      const { code, signal: killedBy } = await gateway.ended;
      if (stopping) return;
      if (Date.now() - startedAt > WELL_MS) pause = FIRST_PAUSE_MS;
      progress.say(
        `the gateway ended with ${killedBy ?? `code ${code}`}; it starts again in ${millisecondsText(pause)}`,
      );
      await sleep(pause);
      if (stopping) return;
      pause = Math.min(pause * 2, MAX_PAUSE_MS);
      startedAt = Date.now();
      gateway = start();
      await gateway.ready.then(
        () => progress.say(`the gateway is back after ${millisecondsText(Date.now() - startedAt)}`),
        (error: unknown) => progress.say(String(error instanceof Error ? error.message : error)),
      );
    }
  }

  return {
    url,
    loginUrl,
    stop: async () => {
      stopping = true;
      gateway.stop();
      const late = setTimeout(() => gateway.kill(), STOP_PATIENCE_MS);
      await gateway.ended;
      clearTimeout(late);
      await finished;
    },
    hurry: () => {
      gateway.stop();
      setTimeout(() => gateway.kill(), HURRY_PATIENCE_MS).unref();
    },
  };
}
