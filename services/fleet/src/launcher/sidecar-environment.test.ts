import { expect, test } from "vitest";
import { secretEnvironment } from "./sidecar-environment.ts";

const FROM = { GITHUB_TOKEN: "g", ANTHROPIC_API_KEY: "a", OPENHERMIT_TOKEN: "o", PATH: "/bin" };
const NAMES = ["ANTHROPIC_API_KEY", "GITHUB_TOKEN", "OPENHERMIT_TOKEN", "UNSET_KEY"];

test("an MCP server gets the variables that it names, of a list only those on it, and never the mesh's own", () => {
  expect(secretEnvironment(FROM, NAMES)).toEqual({ ANTHROPIC_API_KEY: "a", GITHUB_TOKEN: "g" });
  expect(secretEnvironment(FROM, NAMES, ["GITHUB_TOKEN", "OPENHERMIT_TOKEN"])).toEqual({ GITHUB_TOKEN: "g" });
  expect(secretEnvironment(FROM, NAMES, [])).toEqual({});
  expect(secretEnvironment(FROM, [])).toEqual({});
});
