import { setTimeout as sleep } from "node:timers/promises";
import { millisecondsText } from "../output/time-text.ts";
import { plainLine } from "../output/plain-text.ts";
import { startGatewayProcess, type GatewayMessage, type GatewayProcess, type WaysIn } from "./gateway-process.ts";
import { stopDatabase } from "./stop-database.ts";
import { openLifeline } from "./lifeline.ts";
import type { Progress } from "./progress.ts";

/** A gateway that is started again when it crashes. */
export interface GatewaySupervision {
  /** Where the gateway listens; the same after each restart. */
  readonly url: string;
  /** Resolves when the gateway does its work for the first time; rejects with CliError when it can't. */
  readonly ready: Promise<WaysIn>;
  /** Drains and ends the gateway. Resolves when it has ended. */
  stop(): Promise<void>;
  /** Does not wait for the drain any longer: ends the gateway, and with it its sidecars. */
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
const STOP_PATIENCE_MS = 45_000;

/** Starts the gateway and keeps it running. Throws CliError when the first start fails. */
export async function superviseGateway(options: SuperviseOptions): Promise<GatewaySupervision> {
  const { home, progress, signal } = options;
  let environment = options.environment;
  let stopping = false;
  const lifeline = openLifeline(home);
  const start = (): GatewayProcess =>
    startGatewayProcess({ home, environment, lifeline, onMessage: (message) => tell(progress, message) });
  let gateway = start();
  const stopFirst = (): void => gateway.stop();
  signal.addEventListener("abort", stopFirst, { once: true });
  const { url } = await gateway.listening.finally(() => signal.removeEventListener("abort", stopFirst));
  // With port 0 the system chose one; the next gateway takes the same, so that clients find it.
  environment = { ...environment, OPENHERMIT_LISTEN: new URL(url).host };

  let everReady = false;
  const { ready } = gateway;
  void ready.then(
    () => (everReady = true),
    () => undefined,
  );
  const finished = keepRunning();

  async function keepRunning(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    let startedAt = Date.now();
    for (;;) {
      const { how } = await gateway.ended;
      // One that never got ready is told by the promise `ready`: starting it again would end the same way.
      if (stopping || !everReady) return;
      if (Date.now() - startedAt > WELL_MS) pause = FIRST_PAUSE_MS;
      progress.say(`the gateway ended with ${how}; it starts again in ${millisecondsText(pause)}`);
      await sleep(pause);
      if (stopping) return;
      pause = Math.min(pause * 2, MAX_PAUSE_MS);
      startedAt = Date.now();
      gateway = start();
      await gateway.ready.then(
        () => progress.say(`the gateway is back after ${millisecondsText(Date.now() - startedAt)}`),
        (error: unknown) => stopping || progress.say(error instanceof Error ? error.message : String(error)),
      );
    }
  }

  return {
    url,
    ready,
    stop: async () => {
      stopping = true;
      gateway.stop();
      const late = setTimeout(() => gateway.kill(), STOP_PATIENCE_MS);
      await gateway.ended;
      clearTimeout(late);
      await finished;
      lifeline.cut();
    },
    hurry: () => {
      gateway.kill();
      lifeline.cut();
      // The server is in a session of its own; without its gateway nobody else would end it.
      stopDatabase(home);
    },
  };
}

const STEPS: Readonly<Record<string, string>> = {
  home: "home opened",
  database: "database server started",
  listening: "gateway listens",
  migrations: "database schema up to date",
  ready: "gateway ready",
};

function tell(progress: Progress, message: GatewayMessage): void {
  if (message.step === "note") progress.begin(message.message);
  else if (message.step === "waiting")
    progress.say(`the gateway waits for its database: ${plainLine(message.message, 500)}`);
  else if ("ms" in message) progress.done(STEPS[message.step] ?? message.step, message.ms);
}
