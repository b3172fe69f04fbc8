import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { sql } from "@openhermit/postgres";
import { ManifestSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { testCaller, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { errorOf, manifestClient } from "../test/manifest-client.ts";
import { domainDatabase } from "../test/stored-domains.ts";

let test: TestDatabase;
beforeAll(async () => {
  test = await domainDatabase();
});
afterAll(async () => {
  await test.drop();
});
afterEach(async () => {
  await test.database.query(sql`DELETE FROM resources`);
});

const client = (options: Parameters<typeof manifestClient>[1] = {}) => manifestClient(test.database, options);
const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
const TEXT = `defaults:
  model: local/llama
  turnLimits:
    timeout: 90s
providers:
  local:
    kind: openai-compatible
    baseUrl: http://127.0.0.1:8000/v1
  other:
    kind: google
    apiKeyEnv: OTHER_API_KEY
agents:
  one:
    displayName: "007"
    labels:
      tier: "1"
    desiredState: stopped
    team: red
    model: other/gemini
    instructions: |
      First line: with a colon.
        Indented, # no comment.

      Last line without \${VARIABLES}.
  two: {}
skills:
  report:
    digest: ${DIGEST}
    agents: "*"
    disabledAgents:
      - one
mcpServers:
  search:
    url: https://mcp.example/mcp
    headers:
      authorization: Bearer \${secret.SEARCH_TOKEN}
    agents:
      - one
      - two
    connectTimeout: 1.5s
    callTimeout: 2m
  tools:
    command: /usr/bin/node
    args:
      - $./relative
      - "8"
      - $\${x}
    env:
      EMPTY: ""
      MODE: "yes"
    agents:
      - two
`;
const apply = (text: string) =>
  client().applyManifest({ source: create(ManifestSchema, { files: [{ text, baseDirectory: "/fleet" }] }) });

it("writes what is set, in the order of the ids, as it would be read", async () => {
  await apply(TEXT);
  const exported = await client().exportManifest({});
  expect(exported.manifest).toBe(TEXT);
  expect(exported).toMatchObject({ skillIds: ["report"], plainValueCount: 1 });
  expect((await client().exportManifest({})).manifest).toBe(exported.manifest);
  // What was exported is what there is.
  const source = { files: [{ text: exported.manifest }] };
  const plan = await client().planManifest({ manifest: source, prune: true });
  expect(plan.changes).toEqual([]);
});

it("names skills by paths when asked to", async () => {
  await apply(TEXT);
  const { manifest } = await client().exportManifest({ skillPaths: true });
  expect((parse(manifest) as { skills: unknown }).skills).toEqual({
    report: { path: "./skills/report", agents: "*", disabledAgents: ["one"] },
  });
});

it("writes an empty fleet as a manifest too", async () => {
  const { manifest } = await client().exportManifest({});
  expect(manifest).toBe("agents: {}\n");
  expect((await apply(manifest)).changes).toEqual([]);
});

it("exports some agents with what they use, and nothing of the others", async () => {
  await apply(TEXT);
  const exported = async (...agentIds: string[]) => {
    const { manifest } = await client().exportManifest({ agentIds });
    const { defaults: _, ...rest } = parse(manifest) as Record<string, Record<string, { agents?: unknown }>>;
    return Object.values(rest).flatMap((section) =>
      Object.entries(section).map(([id, { agents }]) =>
        agents === undefined ? id : `${id} ${JSON.stringify(agents)}`,
      ),
    );
  };
  // The defaults name the provider local, so it comes along.
  expect(await exported("one")).toEqual(["local", "other", "one", 'search ["one"]']);
  expect(await exported("two")).toEqual(["local", "two", 'report "*"', 'search ["two"]', 'tools ["two"]']);
  expect(await exported("one", "two")).toHaveLength(7);
  for (const agentId of ["never", "one"]) {
    const narrow = client({ caller: testCaller("member:ann", ["two"]) });
    expect((await errorOf(narrow.exportManifest({ agentIds: ["two", agentId] }))).code).toBe(Code.NotFound);
  }
});

it("shows plain values of environments and headers only to who may write the server", async () => {
  await apply(TEXT);
  const reader = client({ lacks: ["mcp-servers:search:write", "mcp-servers:tools:write"] });
  await expect(reader.exportManifest({})).rejects.toMatchObject({
    code: Code.PermissionDenied,
    rawMessage: 'RIGHT_MISSING: the manifest would show values of MCP servers you may not change: "tools"',
  });
  // Of what one uses nothing is secret: the header only names a secret.
  expect((await reader.exportManifest({ agentIds: ["one"] })).plainValueCount).toBe(0);
  await apply("mcpServers: { search: { url: 'https://mcp.example/?key=1', agents: [one] } }");
  await expect(reader.exportManifest({ agentIds: ["one"] })).rejects.toMatchObject({ code: Code.PermissionDenied });
});

it("leaves out and names the servers whose values agents out of reach need, so that applying it empties none", async () => {
  await apply(TEXT);
  const ann = client({ caller: testCaller("member:ann", ["one"]) });
  const { manifest, plainValueCount } = await ann.exportManifest({});
  expect(manifest.split("\n", 1)).toEqual([
    "# Left out, since you may not read all their values: the MCP servers search, tools.",
  ]);
  expect(parse(manifest)).not.toHaveProperty("mcpServers");
  expect(plainValueCount).toBe(0);
  // Of what the one agent uses that is the one that the other uses too.
  expect((await ann.exportManifest({ agentIds: ["one"] })).manifest).toMatch(/^# .* the MCP servers search\.\n/);
});
