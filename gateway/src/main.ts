// The gateway process. Exit codes: 0 stopped as told, 1 it failed while it ran, 2 it can't start as it is told to.
import { ConfigError } from "@openhermit/config";
import { MeshError, toError } from "@openhermit/errors";
import { createLog, type Log } from "@openhermit/telemetry";

import { readConfig, type GatewayConfig } from "./config.ts";
import { watchLifeline } from "./lifeline.ts";
import type { GatewayProgress } from "./progress.ts";
import { startGateway } from "./start-gateway.ts";

const STOP_LIMIT_MS = 30_000;

function tell(progress: GatewayProgress): void {
  if (process.connected) {
    process.send?.(progress, undefined, undefined, () => {});
  }
}

function fail(log: Log, error: unknown): never {
  const [message, hint, reason] =
    error instanceof MeshError
      ? [error.message, error.hint, error.reason]
      : error instanceof ConfigError
        ? [error.message, "", "CONFIG_INVALID"]
        : [`the gateway failed: ${toError(error).message}`, "its log says more", "INTERNAL"];
  tell({ step: "failed", message, hint, reason });
  log.fatal({ error, hint }, "gateway failed");
  process.exit(error instanceof MeshError || error instanceof ConfigError ? 2 : 1);
}

async function run(config: GatewayConfig, log: Log): Promise<void> {
  const gateway = await startGateway(config, log, tell);
  let code = 0;
  let stopping = false;
  const stop = (why: string) => {
    if (stopping) {
      return;
    }
    stopping = true;
    log.info({ why }, "gateway told to stop");
    setTimeout(() => process.exit(1), config.drainMs + STOP_LIMIT_MS).unref();
    gateway.stop().then(
      () => process.exit(code),
      (error: unknown) => fail(log, error),
    );
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("disconnect", () => stop("parent gone"));
  if (config.lifelineFd !== undefined) {
    watchLifeline(config.lifelineFd, () => stop("lifeline ended"));
  }
  process.on("uncaughtException", (error) => {
    log.fatal({ error }, "uncaught error");
    code = 1;
    stop("uncaught error");
  });
  await gateway.ready.catch(async (error: unknown) => {
    await gateway.stop();
    fail(log, error);
  });
}

try {
  const config = readConfig();
  const log = createLog({ service: "gateway", level: config.logLevel, pretty: config.logPretty });
  await run(config, log).catch((error: unknown) => fail(log, error));
} catch (error) {
  fail(createLog({ service: "gateway" }), error);
}
