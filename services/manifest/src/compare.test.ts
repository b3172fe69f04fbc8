import { Code } from "@connectrpc/connect";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { testCaller, testLog, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { errorOf, fieldLines, manifestClient } from "../test/manifest-client.ts";
import { domainDatabase, storedDomains } from "../test/stored-domains.ts";
import { createManifestService } from "./manifest-service.ts";

let test: TestDatabase;
beforeAll(async () => {
  test = await domainDatabase();
  const text = `
agents:
  one: { model: offline/echo, turnLimits: { timeout: 1m } }
  two: { model: offline/other, instructions: hi, turnLimits: { timeout: 1m } }
  three: { model: offline/echo, displayName: one, turnLimits: { timeout: 1m } }`;
  await manifestClient(test.database).applyManifest({ manifest: text });
});
afterAll(async () => {
  await test.drop();
});

it("says in what two agents differ, values and what they use", async () => {
  const skill = (digest: string) => [{ id: "report", digest }];
  const used = new Map([
    ["one", { servers: [{ id: "search" }, { id: "tools" }], skills: skill("sha256:1") }],
    ["two", { servers: [{ id: "search" }], skills: [...skill("sha256:2"), { id: "write", digest: "sha256:3" }] }],
  ]);
  const service = createManifestService({
    database: test.database,
    log: testLog(),
    caller: () => testCaller(),
    audit: () => async () => {},
    ports: { ...storedDomains(), catalogsFor: async () => used },
  });
  const client = createClient(
    ManifestService,
    createRouterTransport((router) => service.routes(router)),
  );
  const { fields } = await client.compareAgents({ agentId: "one", otherAgentId: "two" });
  expect(fieldLines(fields)).toEqual([
    "  displayName: one → two",
    "  model: offline/echo → offline/other",
    "  skills.report: sha256:1 → sha256:2",
    "  mcpServers.tools: enabled → ",
    "  instructions:  → hi",
    "  skills.write:  → enabled",
  ]);
});

it("finds nothing between agents that run with the same, and no agent out of reach", async () => {
  const client = manifestClient(test.database);
  expect((await client.compareAgents({ agentId: "one", otherAgentId: "three" })).fields).toEqual([]);
  expect((await client.compareAgents({ agentId: "one", otherAgentId: "one" })).fields).toEqual([]);
  const narrow = manifestClient(test.database, { caller: testCaller("member:ann", ["one"]) });
  for (const [agentId, otherAgentId] of [
    ["one", "two"],
    ["two", "one"],
    ["one", "never"],
  ] as const) {
    const error = await errorOf(narrow.compareAgents({ agentId, otherAgentId }));
    expect([error.code, error.rawMessage.split(":")[0]]).toEqual([Code.NotFound, "AGENT_NOT_FOUND"]);
  }
});
