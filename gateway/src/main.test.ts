import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

import { rawSql } from "@openhermit/postgres";
import { temporaryDirectory, testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { GatewayProgress } from "./progress.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const LIFELINE_FD = 4;

let database: TestDatabase;
let home: Awaited<ReturnType<typeof temporaryDirectory>>;
const running: ChildProcess[] = [];

beforeEach(async () => {
  [database, home] = await Promise.all([testDatabase([]), temporaryDirectory()]);
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    }
  }
  await database.drop();
  await home.remove();
});

function startMain(env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env["PATH"] ?? "",
      OPENHERMIT_HOME: home.path,
      OPENHERMIT_LISTEN: "127.0.0.1:0",
      OPENHERMIT_DATABASE_URL: database.url,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe", "ipc", "pipe"],
  });
  running.push(child);
  let log = "";
  child.stdout?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const messages: GatewayProgress[] = [];
  child.on("message", (message) => messages.push(message as GatewayProgress));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const step = <Step extends GatewayProgress["step"]>(name: Step) =>
    waitFor(() => messages.find((one): one is Extract<GatewayProgress, { step: Step }> => one.step === name), {
      what: `the step ${name}; the log:\n${log}`,
      deadlineMs: 20_000,
    });
  return { child, exit, step, log: () => log };
}

describe("the gateway process", () => {
  test.each([
    ["SIGTERM", (child: ChildProcess) => child.kill("SIGTERM")],
    ["SIGINT", (child: ChildProcess) => child.kill("SIGINT")],
    ["the end of its parent's channel", (child: ChildProcess) => child.disconnect()],
    [
      "the end of its lifeline",
      (child: ChildProcess) => (child.stdio as unknown as { destroy(): void }[])[LIFELINE_FD]?.destroy(),
    ],
  ])("drains and ends well on %s", async (_name, tell) => {
    const { child, exit, step, log } = startMain({ OPENHERMIT_LIFELINE_FD: String(LIFELINE_FD) });
    await step("ready");
    tell(child);
    expect([await exit, log()]).toEqual([0, expect.any(String)]);
    expect(existsSync(join(home.path, "gateway.json"))).toBe(false);
    expect(log()).toContain("gateway stopped");
  });

  test("told to stop while it starts, stops", async () => {
    const { child, exit, step, log } = startMain();
    await step("home");
    child.kill("SIGTERM");
    expect([await exit, log()]).toEqual([0, expect.any(String)]);
  });

  test.each([
    [
      "a port in use",
      "PORT_IN_USE",
      async () => {
        const server = createServer();
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        return {
          env: { OPENHERMIT_LISTEN: `127.0.0.1:${(server.address() as AddressInfo).port}` },
          end: () => server.close(),
        };
      },
    ],
    [
      "a home that is a file",
      "HOME_NOT_WRITABLE",
      async () => {
        const path = join(home.path, "file");
        writeFileSync(path, "");
        return { env: { OPENHERMIT_HOME: path }, end: () => {} };
      },
    ],
    [
      "a configuration with several faults",
      "CONFIG_INVALID",
      async () => ({
        env: { OPENHERMIT_LISTEN: "nowhere", OPENHERMIT_DATABASE_URL: "mysql://x" },
        end: () => {},
      }),
    ],
    [
      "a database of a newer version",
      "DATABASE_NEWER",
      async () => {
        const first = startMain();
        await first.step("ready");
        first.child.kill("SIGTERM");
        await first.exit;
        await database.database.query(
          rawSql(
            "INSERT INTO openhermit.migrations (domain, number, name, checksum) VALUES ('fleet', 9999, '9999-future.sql', 'x')",
          ),
        );
        return { env: {}, end: () => {} };
      },
    ],
  ])("says %s in one sentence and exits with 2", async (_name, reason, prepare) => {
    const { env, end } = await prepare();
    const { exit, step, log } = startMain(env);
    const failed = await step("failed");
    expect([await exit, log()]).toEqual([2, expect.any(String)]);
    end();
    expect(failed.reason).toBe(reason);
    expect(failed.message).not.toMatch(/\n\s+at |undefined/);
    if (reason === "CONFIG_INVALID") {
      expect(failed.message.split("\n")).toHaveLength(2);
    }
    expect(existsSync(join(home.path, "gateway.json"))).toBe(false);
  });
});
