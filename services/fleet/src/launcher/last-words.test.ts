import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createLog } from "@openhermit/telemetry";
import { temporaryDirectory } from "@openhermit/testing";
import { expect, it } from "vitest";
import { lastWords } from "./last-words.ts";

it("takes the last lines, and of JSON the message and the error of what is serious", () => {
  const tail = [
    '{"level":"info","message":"mcp server connected","tools":13}',
    '{"level":"warn","message":"link lost","error":{"type":"ConnectError","message":"refused"}}',
    '{"level":"fatal","message":"ledger not opened","error":{"message":"disk full","stack":"long"}}',
    '{"level":"info","message":"sidecar stopping"}',
    "Error: boom",
    "    at main (file.ts:1:2)",
    "",
    "Node.js v24.21.0",
  ].join("\n");
  expect(lastWords(tail, [])).toBe("link lost: refused; ledger not opened: disk full; Error: boom");
});

it("reads the log that a sidecar writes", async () => {
  const directory = await temporaryDirectory();
  const file = join(directory.path, "sidecar.log");
  const destination = openSync(file, "a");
  const log = createLog({ service: "sidecar", destination });
  log.info("sidecar attached");
  log.error({ err: new Error("disk full") }, "ledger not opened");
  log.warn({ error: new Error("refused") }, "link lost");
  log.flush();
  closeSync(destination);
  const words = lastWords(readFileSync(file, "utf8"), []);
  await directory.remove();
  expect(words).toBe("ledger not opened: disk full; link lost: refused");
});

it("strikes out secrets, known ones and what looks like one, and control characters", () => {
  const tail =
    "key 4f8a-known sent; authorization: Bearer abcdefgh12345; sk-ant-api03-abcdef; eyJhbGciOi.eyJzdWIi.c2ln; apiKey=verysecret \u001b[31mred\u001b[0m\u0007";
  const words = lastWords(tail, ["4f8a-known"]);
  for (const secret of ["4f8a", "abcdefgh", "sk-ant", "eyJ", "verysecret", "\u001b", "\u0007"]) {
    expect(words).not.toContain(secret);
  }
  expect(words).toContain("red");
});

it("is short", () => {
  expect(lastWords("x".repeat(4096), []).length).toBeLessThanOrEqual(301);
  expect(lastWords("", [])).toBe("");
});
