import { create } from "@bufbuild/protobuf";
import { AgentSchema, ProviderKind, ProviderSchema } from "@openhermit/protocol/fleet/v1/agent";
import { testDatabase, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeFleet, type Fleet } from "../test/fleet-harness.ts";
import { fleetMigrations } from "./index.ts";

let store: TestDatabase;
let fleet: Fleet;

beforeEach(async () => {
  store = await testDatabase([fleetMigrations]);
  fleet = makeFleet({ database: store.database, people: { ann: { teams: ["red"] } }, teams: ["red"] });
});
afterEach(async () => {
  await fleet.fleet.close();
  await store.drop();
});

const spec = { model: "offline/echo" };
/** What was recorded since this was last asked. */
const recorded = () =>
  fleet.trail
    .splice(0)
    .map(({ by, action, targetType, targetId, fields = [] }) => [
      `${by} ${action} ${targetType} ${targetId}`,
      ...fields.map(({ path, before, after }) => `${path}: ${before} -> ${after}`),
    ]);

it("records each change of an agent once, and what changes nothing never", async () => {
  const ann = fleet.as("ann");
  const add = () => ann.createAgent({ agent: { id: "one", spec, team: "red" }, requestId: "r1" });
  await add();
  await add();
  expect(recorded()).toEqual([
    [
      "ann agents.create agent one",
      "displayName:  -> one",
      "team:  -> red",
      "desiredState:  -> running",
      "model:  -> offline/echo",
    ],
  ]);

  const teach = () => ann.updateAgent({ agent: { id: "one", spec: { ...spec, instructions: "Be brief." } } });
  await teach();
  await teach();
  expect(recorded()).toEqual([["ann agents.update agent one", "instructions:  -> Be brief."]]);

  await ann.startAgent({ agentId: "one" });
  await ann.restartAgent({ agentId: "one" });
  await ann.stopAgent({ agentId: "one" });
  await ann.stopAgent({ agentId: "one" });
  await ann.startAgent({ agentId: "one" });
  expect(recorded()).toEqual([
    ["ann agents.restart agent one"],
    ["ann agents.stop agent one", "desiredState: running -> stopped"],
    ["ann agents.start agent one", "desiredState: stopped -> running"],
  ]);

  await ann.deleteAgent({ agentId: "one" });
  expect(recorded()).toEqual([
    [
      "ann agents.delete agent one",
      "displayName: one -> ",
      "team: red -> ",
      "desiredState: stopped -> ",
      "model: offline/echo -> ",
      "instructions: Be brief. -> ",
    ],
  ]);
});

it("records nothing of what is refused", async () => {
  await fleet.client.createAgent({ agent: { id: "one", spec } });
  recorded();
  await expect(fleet.client.createAgent({ agent: { id: "one", spec } })).rejects.toThrow("AGENT_EXISTS");
  await expect(fleet.client.updateAgent({ agent: { id: "one", spec, etag: "x" } })).rejects.toThrow("AGENT_CHANGED");
  await expect(fleet.client.deleteAgent({ agentId: "two" })).rejects.toThrow("AGENT_NOT_FOUND");
  expect(recorded()).toEqual([]);
});

it("records a provider that was put, with what it was before, also a built-in one", async () => {
  const put = (baseUrl: string) =>
    fleet.client.putProvider({ provider: { name: "ollama", kind: ProviderKind.OPENAI_COMPATIBLE, baseUrl } });
  await put("http://gpu:1/v1");
  await put("http://gpu:1/v1");
  await put("http://gpu:2/v1");
  expect(recorded()).toEqual([
    ["operator providers.put provider ollama", "baseUrl: http://127.0.0.1:11434/v1 -> http://gpu:1/v1"],
    ["operator providers.put provider ollama", "baseUrl: http://gpu:1/v1 -> http://gpu:2/v1"],
  ]);
});

it("records a provider that was removed, and defaults that were put", async () => {
  await fleet.client.putProvider({
    provider: { name: "local", kind: ProviderKind.OPENAI_COMPATIBLE, baseUrl: "http://x" },
  });
  recorded();
  await fleet.client.putDefaults({ defaults: { spec: { model: "local/m", turnLimits: { maxSteps: 3 } } } });
  await fleet.client.putDefaults({ defaults: { spec: { model: "local/m", turnLimits: { maxSteps: 3 } } } });
  await fleet.client.putDefaults({ defaults: { spec: {} } });
  await fleet.client.deleteProvider({ providerName: "local" });
  expect(recorded()).toEqual([
    ["operator defaults.put defaults defaults", "model:  -> local/m", "turnLimits.maxSteps:  -> 3"],
    ["operator defaults.put defaults defaults", "model: local/m -> ", "turnLimits.maxSteps: 3 -> "],
    ["operator providers.delete provider local", "kind: openai-compatible -> ", "baseUrl: http://x -> "],
  ]);
});

it("records each resource that a manifest changes once, none in a dry run and none for what is so already", async () => {
  const wanted = {
    providers: [create(ProviderSchema, { name: "local", kind: ProviderKind.OPENAI_COMPATIBLE, baseUrl: "http://x" })],
    agents: [create(AgentSchema, { id: "one", spec }), create(AgentSchema, { id: "two", spec })],
  };
  const words = () => recorded().map(([first]) => first);
  await fleet.apply(wanted, { dryRun: true });
  expect(words()).toEqual([]);
  await fleet.apply(wanted);
  expect(words()).toEqual([
    "operator providers.put provider local",
    "operator agents.create agent one",
    "operator agents.create agent two",
  ]);
  await fleet.apply(wanted);
  expect(words()).toEqual([]);
  await fleet.client.updateAgent({ agent: { id: "two", spec, displayName: "Second" } });
  recorded();
  await fleet.apply(wanted);
  expect(recorded()).toEqual([["operator agents.update agent two", "displayName: Second -> two"]]);
  await fleet.apply({}, { prune: true });
  expect(words()).toEqual([
    "operator providers.delete provider local",
    "operator agents.delete agent one",
    "operator agents.delete agent two",
  ]);
});
