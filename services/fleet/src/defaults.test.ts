import { create } from "@bufbuild/protobuf";
import { sql } from "@openhermit/postgres";
import {
  AgentSchema,
  AgentSpecSchema,
  DefaultsSchema,
  Launcher,
  ProviderKind,
  ValueSource,
} from "@openhermit/protocol/fleet/v1/agent";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type Fleet } from "../test/fleet-harness.ts";
import { EVERYTHING } from "../test/test-people.ts";
import { FLEET_CHANNEL } from "./fleet-channel.ts";
import { fleetMigrations } from "./index.ts";

let store: TestDatabase;
let fleet: Fleet;

beforeEach(async () => {
  store = await testDatabase([fleetMigrations]);
  fleet = makeFleet({ database: store.database, people: { ann: {} } });
});
afterEach(async () => {
  await fleet.fleet.close();
  await store.drop();
});

type Put = Parameters<Fleet["client"]["putDefaults"]>[0]["defaults"];
const put = async (spec: NonNullable<Put>["spec"] & {}, etag = "") =>
  (await fleet.client.putDefaults({ defaults: { spec, etag } })).defaults;
const add = (id: string, spec: object = {}) => fleet.client.createAgent({ agent: { id, spec } });
const generation = async (id: string) => (await fleet.fleet.snapshotSources([id]))[0]?.revision ?? -1n;
const putProvider = (name: string, baseUrl = "http://localhost:1") =>
  fleet.client.putProvider({ provider: { name, kind: ProviderKind.OPENAI_COMPATIBLE, baseUrl } });

describe("defaults", () => {
  it("are empty until somebody puts some, and guarded by their etag also then", async () => {
    const { defaults: first } = await fleet.client.getDefaults({});
    expect(first).toMatchObject({ spec: create(AgentSpecSchema) });
    expect(first?.updateTime).toBeUndefined();
    const answers = await Promise.allSettled(
      ["a", "b", "c"].map((instructions) => put({ instructions }, first?.etag ?? "")),
    );
    const lost = answers.filter(({ status }) => status === "rejected");
    expect(lost.map((answer) => String((answer as PromiseRejectedResult).reason))).toEqual(
      Array(2).fill(expect.stringContaining("DEFAULTS_CHANGED")),
    );
    const { defaults: stored } = await fleet.client.getDefaults({});
    expect(stored?.updateTime).toBeDefined();
    // The same again changes nothing.
    expect(await put({ instructions: stored?.spec?.instructions ?? "" })).toEqual(stored);
  });

  it("reach agents down to single values, and each says where it comes from", async () => {
    await put({ model: "offline/echo", instructions: "Be kind.", turnLimits: { maxSteps: 5 } });
    const { agent } = await add("one", { modelParameters: { temperature: 0.5 } });
    expect(agent?.spec).toMatchObject({ model: "", instructions: "", launcher: Launcher.UNSPECIFIED });
    expect(agent?.effectiveSpec).toMatchObject({
      model: "offline/echo",
      instructions: "Be kind.",
      launcher: Launcher.PROCESS,
      modelParameters: { temperature: 0.5 },
      turnLimits: { maxSteps: 5, maxConcurrentTurns: 64 },
    });
    expect(agent?.sources).toEqual({
      model: ValueSource.DEFAULTS,
      instructions: ValueSource.DEFAULTS,
      launcher: ValueSource.BUILTIN,
      "modelParameters.temperature": ValueSource.AGENT,
      "turnLimits.maxSteps": ValueSource.DEFAULTS,
      "turnLimits.timeout": ValueSource.BUILTIN,
      "turnLimits.maxConcurrentTurns": ValueSource.BUILTIN,
    });
    const [source] = await fleet.fleet.snapshotSources(["one"]);
    expect(source).toMatchObject({ spec: agent?.effectiveSpec, provider: { name: "offline" } });
    const values = (await fleet.fleet.effectiveValues(store.database, ["one", "none"])).get("one");
    expect(values?.get("turnLimits.maxSteps")).toEqual({ value: "5", source: ValueSource.DEFAULTS });
    expect(values?.get("modelParameters.temperature")).toEqual({ value: "0.5", source: ValueSource.AGENT });
    expect(values?.get("desiredState")).toEqual({ value: "running", source: ValueSource.AGENT });
    expect(values?.has("team")).toBe(false);
  });

  it("are a part of every generation, also of agents that set all themselves, and write none of them", async () => {
    await add("one", { model: "offline/echo" });
    const before = await fleet.agent("one");
    const seen = [await generation("one")];
    await put({ instructions: "Be kind." });
    seen.push(await generation("one"));
    await put({ instructions: "Be kind." });
    expect(await generation("one")).toBe(seen[1]);
    await put({});
    seen.push(await generation("one"));
    expect(seen.every((one, index) => index === 0 || one > (seen[index - 1] ?? one))).toBe(true);
    expect((await fleet.agent("one")).etag).toBe(before.etag);
    expect((await fleet.agent("one")).status?.desiredGeneration).toBe((seen[2] ?? 0n) + 1000n);
  });

  it("are announced: each gateway compiles its snapshots anew and knows who starts what", async () => {
    await add("one", { model: "offline/echo" });
    const announced: string[] = [];
    const { promise: subscribed, resolve: isSubscribed } = Promise.withResolvers<void>();
    const subscription = store.database.listen(FLEET_CHANNEL, (payload) => announced.push(payload), isSubscribed);
    await subscribed;
    // The built-in providers are announced too; the other gateway finds them stored.
    fleet.fleet.start();
    await waitFor(() => announced.includes("providers"), { what: "the built-in providers" });
    const other = makeFleet({ database: store.database });
    const heard: unknown[] = [];
    other.fleet.onChanged((agentIds) => heard.push(agentIds));
    other.fleet.start();
    await waitFor(() => heard.includes("all"), { what: "the subscription" });
    heard.length = 0;
    await put({ launcher: Launcher.EXTERNAL });
    await waitFor(() => heard.length > 0, { what: "the announcement" });
    expect([heard, announced.at(-1)]).toEqual([["all"], "defaults"]);
    await other.fleet.mayJoinExternally(["one"], EVERYTHING);
    await expect(fleet.client.restartAgent({ agentId: "one" })).rejects.toThrow("AGENT_LAUNCHED_EXTERNALLY");
    expect((await fleet.agent("one")).status?.sidecarId).toBe("");
    await put({});
    await expect(other.fleet.mayJoinExternally(["one"], EVERYTHING)).rejects.toMatchObject({
      reason: "AGENT_LAUNCHED_BY_GATEWAY",
    });
    subscription.close();
    await other.fleet.close();
  });

  it("are read with a list of agents once, in its one statement", async () => {
    await put({ model: "offline/echo", instructions: "x".repeat(60_000) });
    await fleet.apply({
      agents: Array.from({ length: 20 }, (_, index) => create(AgentSchema, { id: `a${index}` })),
    });
    const before = store.database.statementCount();
    const sources = await fleet.fleet.snapshotSources(["a3", "a7"]);
    const { agents } = await fleet.client.listAgents({ pageSize: 7 });
    expect(store.database.statementCount() - before).toBe(2);
    expect(sources.map(({ spec }) => spec.instructions.length)).toEqual([60_000, 60_000]);
    expect(agents.map(({ effectiveSpec }) => effectiveSpec?.model)).toEqual(Array(7).fill("offline/echo"));
  });

  it("are changed by whoever reaches every agent, and by nobody else", async () => {
    await put({ model: "offline/echo" });
    const ann = fleet.as("ann");
    await expect(ann.putDefaults({ defaults: { spec: { model: "offline/other" } } })).rejects.toThrow("RIGHT_MISSING");
    await expect(ann.putDefaults({ defaults: {} })).rejects.toThrow("RIGHT_MISSING");
    expect((await ann.getDefaults({})).defaults?.spec?.model).toBe("offline/echo");
    // What is so already needs no right.
    await ann.putDefaults({ defaults: { spec: { model: "offline/echo" } } });
  });

  it("keep a model while agents need it, and name some of those", async () => {
    await expect(add("one")).rejects.toThrow("AGENT_MODEL_INVALID");
    await put({ model: "offline/echo" });
    for (const id of ["a1", "a2", "a3", "a4", "a5", "a6"]) await add(id);
    await add("own", { model: "offline/echo" });
    await expect(put({ instructions: "x" })).rejects.toThrow("DEFAULTS_NEEDED");
    const needed = fleet.apply({ defaults: create(DefaultsSchema) });
    await expect(needed).rejects.toMatchObject({
      code: "failed_precondition",
      message: expect.stringContaining('"a1", "a2", "a3", "a4", "a5" and 1 more'),
    });
    await expect(
      fleet.client.updateAgent({ agent: { id: "own", spec: {} }, updateMask: { paths: ["spec.model"] } }),
    ).resolves.toBeDefined();
    for (const id of ["a1", "a2", "a3", "a4", "a5", "a6"]) await fleet.client.deleteAgent({ agentId: id });
    await expect(put({})).rejects.toThrow("DEFAULTS_NEEDED");
    await fleet.client.deleteAgent({ agentId: "own" });
    await put({});
    await add("two", { model: "offline/echo" });
    await expect(
      fleet.client.updateAgent({ agent: { id: "two", spec: {} }, updateMask: { paths: ["spec.model"] } }),
    ).rejects.toThrow("AGENT_MODEL_INVALID");
  });

  it("refuse a model of another form, and one whose provider does not exist", async () => {
    await expect(put({ model: "echo" })).rejects.toThrow("AGENT_MODEL_INVALID");
    await expect(put({ model: "nope/m" })).rejects.toThrow("PROVIDER_NOT_FOUND");
    await putProvider("mine");
    expect((await put({ model: "mine/m" }))?.spec?.model).toBe("mine/m");
    expect((await fleet.fleet.snapshotSources(["one"])).length).toBe(0);
    await add("one");
    expect((await fleet.fleet.snapshotSources(["one"]))[0]?.provider.baseUrl).toBe("http://localhost:1");
  });

  it("never leave an agent without a model, however they are changed at once", async () => {
    for (let round = 0; round < 10; round++) {
      await put({ model: "offline/echo" });
      await Promise.allSettled([put({}), add(`r${round}`), add(`s${round}`)]);
      for (const { spec, agentId } of await fleet.fleet.snapshotSources([`r${round}`, `s${round}`])) {
        expect(spec.model).toBe("offline/echo");
        await fleet.client.deleteAgent({ agentId });
      }
    }
  });
});

describe("DeleteProvider", () => {
  const remove = (providerName: string) => fleet.client.deleteProvider({ providerName });

  it("removes one that somebody put, and never makes a generation fall", async () => {
    await add("one", { model: "offline/echo" });
    await putProvider("mine");
    const before = await generation("one");
    await remove("mine");
    expect(await generation("one")).toBeGreaterThan(before);
    expect((await fleet.client.listProviders({})).providers.map(({ name }) => name)).not.toContain("mine");
    expect(await fleet.fleet.providerNames(store.database)).not.toContain("mine");
    await expect(add("two", { model: "mine/m" })).rejects.toThrow("PROVIDER_NOT_FOUND");
    await expect(remove("mine")).rejects.toThrow("PROVIDER_NOT_FOUND");
    const removed = await generation("one");
    await putProvider("mine");
    expect(await generation("one")).toBeGreaterThan(removed);
    await add("two", { model: "mine/m" });
  });

  it("makes a built-in one what it was, also while it is used", async () => {
    await expect(remove("ollama")).rejects.toThrow("PROVIDER_NOT_FOUND");
    await putProvider("ollama", "http://gpu:1/v1");
    await add("one", { model: "ollama/llama" });
    await remove("ollama");
    expect((await fleet.fleet.snapshotSources(["one"]))[0]?.provider.baseUrl).toBe("http://127.0.0.1:11434/v1");
    await expect(remove("ollama")).rejects.toThrow("PROVIDER_NOT_FOUND");
  });

  it("refuses while agents or the defaults use it, and says who", async () => {
    await putProvider("mine");
    await add("one", { model: "mine/m" });
    await put({ model: "mine/m" });
    await expect(remove("mine")).rejects.toThrow("PROVIDER_IN_USE");
    await expect(fleet.apply({ defaults: undefined }, { prune: true })).resolves.toBeDefined();
    await putProvider("mine");
    await put({ model: "mine/m" });
    const agents = [create(AgentSchema, { id: "one", spec: { model: "mine/m" } })];
    const applied = fleet.apply(
      { agents, defaults: create(DefaultsSchema, { spec: { model: "mine/m" } }) },
      { prune: true },
    );
    await expect(applied).rejects.toMatchObject({
      reason: "PROVIDER_IN_USE",
      message: expect.stringContaining('the defaults of the fleet and agent "one"'),
    });
  });
});

it("takes over agents that were stored before there were defaults, with all they set", async () => {
  await store.database.query(sql`
    INSERT INTO fleet.agents (id, display_name, labels, spec, desired_state, version, revision, request_id, request_digest)
    VALUES ('old', 'old', '{}', '{"model": "offline/echo", "launcher": "LAUNCHER_PROCESS"}', 1, 1, 1, '', '')`);
  await put({ model: "offline/other", launcher: Launcher.EXTERNAL, instructions: "Be kind." });
  const agent = await fleet.agent("old");
  expect(agent.effectiveSpec).toMatchObject({
    model: "offline/echo",
    launcher: Launcher.PROCESS,
    instructions: "Be kind.",
  });
});
