import { expect, it } from "vitest";
import { lastWords } from "./last-words.ts";

it("takes the last lines, and of JSON the message and the error", () => {
  const tail = [
    'cut {"msg":"old"}',
    '{"level":30,"msg":"sidecar started","pid":1}',
    '{"level":60,"msg":"ledger not opened","err":{"message":"disk full","stack":"long"}}',
    "Error: boom",
    "    at main (file.ts:1:2)",
    "",
    "Node.js v24.21.0",
  ].join("\n");
  expect(lastWords(tail, [])).toBe("sidecar started; ledger not opened: disk full; Error: boom");
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
