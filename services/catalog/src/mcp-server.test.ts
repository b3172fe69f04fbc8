import { create } from "@bufbuild/protobuf";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { expect, it, test } from "vitest";
import { server } from "../test/sample-items.ts";
import { differencesOf } from "./field-difference.ts";
import { desiredServer, secretNamesOf, serverFields, withoutSecrets } from "./mcp-server.ts";

const stdio = (env: Record<string, string>): McpServer =>
  server("files", [], { transport: { case: "stdio", value: { command: "node", env } } });
const http = (url: string, headers: Record<string, string> = {}): McpServer =>
  server("files", [], { transport: { case: "http", value: { url, headers } } });
const refused = (wanted: McpServer): { reason: string; message: string } | undefined => {
  try {
    desiredServer(wanted);
    return undefined;
  } catch (error) {
    return error as { reason: string; message: string };
  }
};

test.each([
  "plain",
  "",
  "${secret.GITHUB_TOKEN}",
  "Bearer ${secret.MY_API_KEY} and ${secret.DB_PASSWORD}",
  "$HOME $(pwd) {x} $ {y}",
])("a value of env and headers may be %o", (value) => {
  expect(refused(stdio({ A: value }))).toBeUndefined();
  expect(refused(http("https://mcp.example/", { a: value }))).toBeUndefined();
});

test.each([
  "${GITHUB_TOKEN}",
  "${env.GITHUB_TOKEN}",
  "${secret.github_token}",
  "${secret.TOKEN}",
  "${secret.GITHUB}",
  "${secret.OPENHERMIT_TOKEN}",
  "${secret.A_TOKEN",
  "${secret.A_TOKEN }",
  "${ secret.A_TOKEN}",
  "${}",
  "${secret.A_TOKEN} ${b}",
  "${secret.${secret.A_TOKEN}}",
])("a value of env and headers may not be %o", (value) => {
  expect(refused(stdio({ A: value }))).toMatchObject({ code: "invalid_argument", reason: "MCP_VARIABLE_INVALID" });
  expect(refused(http("https://mcp.example/", { a: value }))?.message).toContain("headers.a");
});

it("tells of a wrong variable only its name", () => {
  expect(refused(stdio({ A: "hush-1 ${B} hush-2" }))?.message).toBe(
    'env.A of MCP server "files" has ${B}, which is not known',
  );
  expect(refused(stdio({ A: "${hush-3" }))?.message).not.toContain("hush");
});

it("names the secrets it refers to, each once and in order", () => {
  expect(secretNamesOf(stdio({ A: "${secret.B_KEY} ${secret.A_KEY}", B: "${secret.B_KEY}", C: "x" }))).toEqual([
    "A_KEY",
    "B_KEY",
  ]);
  expect(secretNamesOf(http("https://mcp.example/", { a: "Bearer ${secret.A_TOKEN}" }))).toEqual(["A_TOKEN"]);
});

it("shows in differences references, and nothing that may be secret", () => {
  const differences = (before: McpServer | undefined, after: McpServer | undefined) =>
    differencesOf(before && serverFields(before), after && serverFields(after)).filter(
      ({ path }) => path !== "command",
    );
  const reference = "${secret.A_KEY}";
  expect(
    differences(stdio({ A: "hush-1", B: reference, C: "same" }), stdio({ A: reference, B: "hush-2", C: "same" })),
  ).toEqual([
    { path: "env.A", before: "(sensitive)", after: reference, sensitive: true },
    { path: "env.B", before: reference, after: "(sensitive)", sensitive: true },
  ]);
  expect(differences(stdio({ A: reference }), stdio({ A: "${secret.B_KEY}" }))).toEqual([
    { path: "env.A", before: reference, after: "${secret.B_KEY}", sensitive: false },
  ]);
  expect(differences(stdio({ A: "hush-1" }), stdio({ A: "hush-2", B: `Bearer ${reference}` }))).toEqual([
    { path: "env.A", before: "(sensitive)", after: "(sensitive)", sensitive: true },
    { path: "env.B", before: "", after: "(sensitive)", sensitive: true },
  ]);
  // Where the calls go is shown, also when only the key in the query is another one.
  expect(differences(http("https://a.example/x?key=hush-1"), http("https://me:hush-2@b.example/x"))).toEqual([
    {
      path: "url",
      before: "https://a.example/x (sensitive)",
      after: "https://b.example/x (sensitive)",
      sensitive: true,
    },
  ]);
  expect(differences(http("https://a.example/x?key=1"), http("https://a.example/x?key=2"))).toHaveLength(1);
  expect(differences(http("https://a.example/x"), http("https://b.example/x"))).toEqual([
    { path: "url", before: "https://a.example/x", after: "https://b.example/x", sensitive: false },
  ]);
});

it("tells of a new server all that is set, of a deleted one all that was", () => {
  const one = server("files", ["*", "one"], {
    disabledAgents: ["two"],
    callTimeout: { seconds: 90n, nanos: 0 },
  });
  const fields = [
    ["command", "node"],
    ["args", '["server.js"]'],
    ["env.API_KEY", "(sensitive)"],
    ["agents", '["*","one"]'],
    ["disabledAgents", '["two"]'],
    ["callTimeout", "90s"],
  ];
  expect(differencesOf(undefined, serverFields(one)).map(({ path, before, after }) => [path, before, after])).toEqual(
    fields.map(([path, value]) => [path, "", value]),
  );
  expect(differencesOf(serverFields(one), undefined).map(({ path, before, after }) => [path, before, after])).toEqual(
    fields.map(([path, value]) => [path, value, ""]),
  );
  expect(serverFields(create(McpServerSchema, { ...one, agents: ["*"] })).get("agents")?.text).toBe("*");
});

it("hides a reference too from who may not change the server", () => {
  const shown = withoutSecrets(http("https://me@mcp.example/x?a=1#b", { auth: "${secret.A_TOKEN}" }));
  expect(shown.transport.value).toMatchObject({ url: "https://mcp.example/x", headers: { auth: "" } });
});
