import { ConfigError } from "@openhermit/config";
import { MeshError } from "@openhermit/errors";
import { createLog, createTelemetry } from "@openhermit/telemetry";

import { readSidecarConfig, type SidecarConfig } from "./config.ts";
import { watchLifeline } from "./lifeline.ts";
import { releaseStartGarbage } from "./release-start-garbage.ts";
import { createSidecar } from "./sidecar.ts";
import { SIDECAR_VERSION } from "./version.ts";

// Exit codes: 0 stopped, 1 can't run (a sentence on stderr says why), 3 replaced by another process of the same sidecar.
const EXIT = { stopped: 0, refused: 1, replaced: 3 };

try {
  await run(readSidecarConfig());
} catch (error) {
  process.stderr.write(`openhermit-sidecar: ${sentence(error)}\n`);
  process.exit(1);
}

async function run(config: SidecarConfig): Promise<void> {
  const log = createLog({ service: "sidecar", level: config.logLevel });
  const telemetry = await createTelemetry({ service: "openhermit-sidecar", version: SIDECAR_VERSION, env: config.env });
  const sidecar = createSidecar({ config, log, telemetry });
  const stop = (): void => void sidecar.stop();
  process.on("SIGTERM", stop).on("SIGINT", stop);
  if (config.lifelineFd !== undefined) watchLifeline(config.lifelineFd, stop);
  sidecar.start();
  releaseStartGarbage();
  const end = await sidecar.ended;
  log.info({ reason: end.reason }, "sidecar ended");
  if (end.reason === "refused") process.stderr.write(`openhermit-sidecar: ${sentence(end.error)}\n`);
  await telemetry.shutdown();
  process.exit(EXIT[end.reason]);
}

function sentence(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof MeshError) return [error.message, error.hint].filter((part) => part !== "").join("; ");
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
