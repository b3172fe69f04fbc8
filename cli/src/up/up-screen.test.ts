import { expect, it } from "vitest";
import type { Terminal } from "../output/terminal.ts";
import { upScreen } from "./up-screen.ts";

const terminal: Terminal = {
  write: () => undefined,
  line: () => undefined,
  say: () => undefined,
  sayInline: () => undefined,
  paint: (_, text) => text,
  paintWords: (_, text) => text,
  isTerminal: { out: false, words: false },
  width: 80,
};
const screen = { url: "http://127.0.0.1:8780", home: "/h", agents: [], readyMs: 1500, context: undefined };
const loginUrl = "http://127.0.0.1:8780/login?code=a";

it("explains the three ways in, and the owner's only while there is none", () => {
  const setupUrl = "http://127.0.0.1:8780/setup?code=b";
  expect(
    upScreen(terminal, { ...screen, loginUrl, setupUrl })
      .split("\n")
      .slice(2, 12),
  ).toEqual([
    "  URL      http://127.0.0.1:8780",
    "  Home     /h",
    "",
    "  Browser  http://127.0.0.1:8780/login?code=a",
    "           logs you in as the local operator; once, within 12 hours",
    "  Owner    http://127.0.0.1:8780/setup?code=b",
    "           makes you the owner, who invites others; once, within 30 minutes",
    "  Shell    /h/operator-token",
    "           the operator token, which may do everything; bin/hermit takes it from there",
    "",
  ]);
  expect(upScreen(terminal, { ...screen, loginUrl })).not.toContain("Owner");
});

it("warns that the commands of another shell go to another gateway", () => {
  expect(upScreen(terminal, { ...screen, loginUrl, context: "prod" })).toContain(
    "bin/hermit uses context prod instead; to use this token: bin/hermit context use local",
  );
});
