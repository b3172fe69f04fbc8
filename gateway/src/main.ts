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
  log.fatal({ err: error, hint }, "gateway failed");
  process.exit(error instanceof MeshError || error instanceof ConfigError ? 2 : 1);
}

async function run(config: GatewayConfig, log: Log): Promise<void> {
  let code = 0;
  const told = Promise.withResolvers<void>();
  const stop = (why: string) => {
    log.info({ why }, "gateway told to stop");
    setTimeout(() => process.exit(1), config.drainMs + STOP_LIMIT_MS).unref();
    told.resolve();
  };
  process.once("SIGTERM", () => stop("SIGTERM")).on("SIGTERM", () => {});
  process.once("SIGINT", () => stop("SIGINT")).on("SIGINT", () => {});
  process.once("disconnect", () => stop("parent gone"));
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "uncaught error");
    code = 1;
    stop("uncaught error");
  });
  if (config.lifelineFd !== undefined) {
    watchLifeline(config.lifelineFd, () => stop("lifeline ended"));
  }
  const gateway = await startGateway(config, log, tell);
  const failed = gateway.ready.then(
    () => new Promise<never>(() => {}),
    (error: unknown) => ({ error }),
  );
  const failure = await Promise.race([failed, told.promise]);
  await gateway.stop();
  if (failure !== undefined) {
    fail(log, failure.error);
  }
  process.exit(code);
}

try {
  const config = readConfig();
  const log = createLog({ service: "gateway", level: config.logLevel, pretty: config.logPretty });
  await run(config, log).catch((error: unknown) => fail(log, error));
} catch (error) {
  fail(createLog({ service: "gateway" }), error);
}
