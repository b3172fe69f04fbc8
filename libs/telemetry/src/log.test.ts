import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, describe, expect, test } from "vitest";

import { createLog, redactText } from "./log.ts";

const path = join(tmpdir(), `openhermit-log-${process.pid}.jsonl`);
afterEach(() => rmSync(path, { force: true }));

function written(pretty: boolean, write: (log: ReturnType<typeof createLog>) => void): string {
  const fd = openSync(path, "w");
  write(createLog({ service: "test", level: "info", destination: fd, pretty }));
  closeSync(fd);
  return readFileSync(path, "utf8");
}

describe("log", () => {
  test.each([false, true])("cuts credentials by name and by shape (pretty: %s)", (pretty) => {
    const text = written(pretty, (log) => {
      log.info({ token: "plain-secret-1", nested: { headers: { authorization: "plain-secret-2" } } }, "call");
      log.child({ join_token: "plain-secret-3" }).warn("child");
      log.error({ err: new Error("no login at postgres://me:plain-secret-4@db:5432/x with ohm_plainsecret5") }, "bad");
    });
    expect(text).not.toMatch(/plain-?secret/);
    expect(text).toContain("no login at postgres://me:[redacted]@db:5432/x");
    expect(text.trim().split("\n")).toHaveLength(3);
  });

  test.runIf(process.platform === "linux")("loses lines on a full disk, and the process goes on", () => {
    // In a process of its own: a log that waits for the disk would stop this one.
    const script = `
      import { openSync } from "node:fs";
      import { createLog } from ${JSON.stringify(join(import.meta.dirname, "log.ts"))};
      const log = createLog({ service: "test", destination: openSync("/dev/full", "w") });
      log.info("lost");
      log.fatal("lost too");
      process.stdout.write("goes on");`;
    const args = ["--input-type=module", "-e", script];
    expect(spawnSync(process.execPath, args, { timeout: 10_000, encoding: "utf8" })).toMatchObject({
      status: 0,
      stdout: "goes on",
    });
  });

  test("writes the cause of an error and leaves out what is below its level", () => {
    const text = written(false, (log) => {
      log.debug("unseen");
      log.error({ err: new Error("above", { cause: new Error("beneath") }) }, "failed");
    });
    const record = JSON.parse(text) as { level: string; service: string; err: { cause: { message: string } } };
    expect(record).toMatchObject({ level: "error", service: "test", message: "failed" });
    expect(record.err.cause.message).toBe("beneath");
  });

  test("leaves ordinary text as it is", () => {
    for (const text of ["sidecar attached", "http://127.0.0.1:8780/health", "see docs/errors.md: ohm"]) {
      expect(redactText(text)).toBe(text);
    }
  });
});
