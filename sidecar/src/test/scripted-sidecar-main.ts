// A sidecar process with a scripted runtime, for tests that kill it.
import { createLog, createTelemetry } from "@openhermit/telemetry";

import { readSidecarConfig } from "../config.ts";
import { createSidecar } from "../sidecar.ts";
import { createScriptedRuntime } from "./scripted-runtime.ts";

const config = readSidecarConfig();
const sidecar = createSidecar({
  config,
  log: createLog({ service: "sidecar", level: config.logLevel }),
  telemetry: await createTelemetry({ service: "sidecar", version: "0", env: {} }),
  createRuntime: () => createScriptedRuntime(),
});
sidecar.start();
await sidecar.ended;
process.exit(0);
