import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { testLog, type TestLog } from "@openhermit/testing";
import { createTelemetry } from "@openhermit/telemetry";

import { readSidecarConfig } from "../config.ts";
import { createSidecar, type Sidecar } from "../sidecar.ts";
import { createScriptedRuntime, type ScriptedRuntime } from "./scripted-runtime.ts";
import type { TestGateway } from "./test-gateway.ts";

/** A sidecar in the test's own process, with a scripted runtime. */
export interface TestSidecar {
  readonly sidecar: Sidecar;
  readonly runtime: ScriptedRuntime;
  readonly log: TestLog;
}

/** Starts a sidecar on a home; joins with a token of the gateway, unless told that it has joined before. Its runtime is scripted, unless told to be real. */
export async function startTestSidecar(
  gateway: TestGateway,
  home: string,
  options: { joined?: boolean; real?: boolean; env?: Record<string, string> } = {},
): Promise<TestSidecar> {
  const joinTokenFile = join(home, "join-token");
  if (options.joined !== true) writeFileSync(joinTokenFile, `${gateway.joinToken()}\n`);
  const log = testLog();
  const runtime = createScriptedRuntime();
  const sidecar = createSidecar({
    config: readSidecarConfig({
      OPENHERMIT_GATEWAY_URL: gateway.url,
      OPENHERMIT_SIDECAR_HOME: home,
      OPENHERMIT_JOIN_TOKEN_FILE: joinTokenFile,
      ...options.env,
    }),
    log,
    telemetry: await createTelemetry({ service: "test", version: "0", env: {} }),
    ...(options.real === true ? {} : { createRuntime: () => runtime }),
  });
  sidecar.start();
  return { sidecar, runtime, log };
}
