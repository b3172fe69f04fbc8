import { create } from "@bufbuild/protobuf";
import type { Change } from "@openhermit/caller";
import { AgentSchema, ProviderKind, ProviderSchema } from "@openhermit/protocol/fleet/v1/agent";
import { testDatabase, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
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
      "launcher:  -> process",
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
      "launcher: process -> ",
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

describe("a manifest", () => {
  const agents = [create(AgentSchema, { id: "one", spec }), create(AgentSchema, { id: "two", spec })];
  const local = { name: "local", kind: ProviderKind.OPENAI_COMPATIBLE, baseUrl: "http://x" };
  const offline = { name: "offline", kind: ProviderKind.OFFLINE };
  const providers = [create(ProviderSchema, local), create(ProviderSchema, offline)];
  const apply = async ({ dryRun = false, mayWrite = true } = {}) => {
    const records: Change[] = [];
    const record = async (_: unknown, changes: readonly Change[]) => void records.push(...changes);
    const options = { dryRun, caller: fleet.caller("operator"), record };
    const mayPut = { ...options, mayWrite: () => mayWrite };
    const changes = await store.database.transaction(async (tx) => [
      ...(await fleet.fleet.applyProviders(tx, providers, mayPut)),
      ...(await fleet.fleet.applyAgents(tx, agents, { ...options, mayWrite: () => true })),
    ]);
    return { actions: changes.map(({ id, action }) => `${id} ${action}`), records };
  };
  const named = ({ records }: { records: Change[] }) => records.map(({ action, targetId }) => `${action} ${targetId}`);

  it("has one record for each changed resource, none in a dry run and none for what is so already", async () => {
    expect(named(await apply({ dryRun: true }))).toEqual([]);
    expect(named(await apply())).toEqual(["providers.put local", "agents.create one", "agents.create two"]);
    expect(named(await apply())).toEqual([]);
    await fleet.client.updateAgent({ agent: { id: "two", spec, displayName: "Second" } });
    const { records } = await apply();
    expect(records).toEqual([
      {
        action: "agents.update",
        targetType: "agent",
        targetId: "two",
        fields: [{ path: "displayName", before: "Second", after: "two" }],
      },
    ]);
  });

  it("needs a right for the providers it changes, and none for those that are so already", async () => {
    const refused = { actions: ["local refused", "offline none", "one create", "two create"], records: [] };
    expect(await apply({ dryRun: true, mayWrite: false })).toEqual(refused);
    await fleet.client.putProvider({ provider: local });
    expect((await apply({ mayWrite: false })).actions.slice(0, 2)).toEqual(["local none", "offline none"]);
  });
});
