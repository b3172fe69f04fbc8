import { expect, test } from "vitest";
import { secretEnvironment } from "./sidecar-environment.ts";

const FROM = { GITHUB_TOKEN: "g", ANTHROPIC_API_KEY: "a", OPENHERMIT_TOKEN: "o", PATH: "/bin" };
const NAMES = ["ANTHROPIC_API_KEY", "GITHUB_TOKEN", "OPENHERMIT_TOKEN", "UNSET_KEY"];

test("an MCP server gets the variables that it names, of those that are listed, and never the mesh's own", () => {
  expect(secretEnvironment(FROM, NAMES, ["GITHUB_TOKEN", "OPENHERMIT_TOKEN", "UNSET_KEY"])).toEqual({
    GITHUB_TOKEN: "g",
    OPENHERMIT_MCP_SECRETS: "GITHUB_TOKEN,OPENHERMIT_TOKEN,UNSET_KEY",
  });
  expect(secretEnvironment(FROM, NAMES, [])).toEqual({});
  expect(secretEnvironment(FROM, [], ["GITHUB_TOKEN"])).toEqual({ OPENHERMIT_MCP_SECRETS: "GITHUB_TOKEN" });
});
