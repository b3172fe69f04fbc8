import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { sql, type Queryable } from "@openhermit/postgres";
import {
  AgentSchema,
  DefaultsSchema,
  DesiredState,
  Launcher,
  ProviderKind,
  ProviderSchema,
} from "@openhermit/protocol/fleet/v1/agent";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type Fleet } from "../../test/fleet-harness.ts";
import { EVERYTHING } from "../../test/test-people.ts";
import { fleetMigrations, type ApplyOptions, type FleetChanges, type WantedFleet } from "../index.ts";

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

type Init = Omit<MessageInitShape<typeof AgentSchema>, "$typeName">;
const agent = (id: string, rest: Init = {}) => create(AgentSchema, { id, ...rest });
const own = (id: string, rest: Init = {}) => agent(id, { spec: { model: "offline/echo" }, ...rest });
const provider = (name: string, baseUrl = "http://x") =>
  create(ProviderSchema, { name, kind: ProviderKind.OPENAI_COMPATIBLE, baseUrl });
const defaults = (spec: object) => create(DefaultsSchema, { spec });
const words = (changes: FleetChanges) =>
  [...changes.defaults, ...changes.providers, ...changes.agents].map(({ id, action }) => `${id} ${action}`);
const ids = async () => (await fleet.client.listAgents({ pageSize: 1000 })).agents.map(({ id }) => id);

/** Applies and counts the statements. */
async function counted(wanted: Partial<WantedFleet>, given: Partial<ApplyOptions> = {}): Promise<number> {
  let count = 0;
  const options: ApplyOptions = {
    dryRun: false,
    prune: false,
    caller: fleet.caller("operator"),
    mayWrite: () => true,
    record: async (tx) => void (await tx.query(sql`SELECT`)),
    ...given,
  };
  await store.database.transaction(async (tx) => {
    const counting: Queryable = {
      query(statement) {
        count += 1;
        return tx.query(statement);
      },
    };
    await fleet.fleet.applyFleet(counting, { defaults: undefined, providers: [], agents: [], ...wanted }, options);
  });
  return count;
}

describe("an apply", () => {
  const wanted = {
    defaults: defaults({ model: "mine/m", turnLimits: { maxSteps: 4 } }),
    providers: [provider("mine")],
    agents: [agent("one"), own("two", { labels: { a: "1" } })],
  };
  const all = ["defaults create", "mine create", "one create", "two create"];
  const none = all.map((word) => word.replace("create", "none"));

  it("makes defaults, providers and agents at once, says the same in a dry run, and changes nothing the second time", async () => {
    // The agent needs the defaults, and they need the provider: none of them is stored in a dry run.
    const planned = await fleet.apply(wanted, { dryRun: true });
    expect(words(planned)).toEqual(all);
    expect([await ids(), await fleet.fleet.storedDefaults(store.database)]).toEqual([[], undefined]);
    expect(await fleet.apply(wanted)).toEqual(planned);
    expect((await fleet.agent("one")).effectiveSpec).toMatchObject({ model: "mine/m", turnLimits: { maxSteps: 4 } });
    const before = await fleet.client.listAgents({});
    const again = await fleet.apply(wanted);
    expect(words(again)).toEqual(none);
    expect(await fleet.client.listAgents({})).toEqual(before);
    expect(again.agents.map(({ version }) => version)).toEqual(before.agents.map(({ etag }) => etag));
    expect((await fleet.client.getDefaults({})).defaults?.etag).toBe(again.defaults[0]?.version);
  });

  it("says all that is set of what it creates, what differs of what it changes, and all that was of what it deletes", async () => {
    const { agents, providers } = await fleet.apply(wanted);
    const both = (path: string, before: string, after: string) => ({ path, before, after, sensitive: false });
    expect(agents[1]?.fields).toEqual([
      both("displayName", "", "two"),
      both("labels.a", "", "1"),
      both("desiredState", "", "running"),
      both("model", "", "offline/echo"),
    ]);
    expect(providers[0]?.fields).toEqual([both("kind", "", "openai-compatible"), both("baseUrl", "", "http://x")]);
    const changed = await fleet.apply({
      defaults: defaults({ model: "mine/m", turnLimits: { maxSteps: 5 } }),
      providers: [provider("mine", "http://y")],
      agents: [agent("one", { displayName: "First" }), own("two", { labels: { a: "1" } })],
    });
    expect(changed).toMatchObject({
      defaults: [{ action: "update", fields: [both("turnLimits.maxSteps", "4", "5")] }],
      providers: [{ action: "update", fields: [both("baseUrl", "http://x", "http://y")] }],
      agents: [
        { action: "update", fields: [both("displayName", "one", "First")] },
        { action: "none", fields: [] },
      ],
    });
    const removed = await fleet.apply({}, { prune: true });
    expect(words(removed)).toEqual(["defaults delete", "mine delete", "one delete", "two delete"]);
    expect(removed.defaults[0]?.fields).toEqual([both("model", "mine/m", ""), both("turnLimits.maxSteps", "5", "")]);
    expect(removed.agents[0]?.fields[0]).toEqual(both("displayName", "First", ""));
    expect(removed.providers[0]?.version).not.toBe("");
  });

  it("leaves a stopped agent stopped, and starts or stops one that it says so of", async () => {
    await fleet.apply({ agents: [own("one")] });
    await fleet.client.stopAgent({ agentId: "one" });
    expect(words(await fleet.apply({ agents: [own("one")] }))).toEqual(["one none"]);
    expect((await fleet.agent("one")).desiredState).toBe(DesiredState.STOPPED);
    await fleet.apply({ agents: [own("one", { desiredState: DesiredState.RUNNING })] });
    expect((await fleet.agent("one")).desiredState).toBe(DesiredState.RUNNING);
  });

  it("waits for another one and then finds what that did, and a plan waits for nobody", async () => {
    let second: Promise<FleetChanges> | undefined;
    await store.database.transaction(async (tx) => {
      const options = { dryRun: false, prune: false, caller: fleet.caller("operator"), mayWrite: () => true };
      const record = async (): Promise<void> => {};
      await fleet.fleet.applyFleet(tx, { ...wanted }, { ...options, record });
      second = fleet.apply(wanted);
      const waits = sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      await waitFor(async () => (await store.database.query(waits)).rowCount > 0, { what: "the second to wait" });
      expect(words(await fleet.apply(wanted, { dryRun: true }))).toEqual(all);
    });
    expect(words((await second) as FleetChanges)).toEqual(none);
  });

  it("is made fifty times at once without a deadlock, each over what the one before left", async () => {
    const named = (index: number) => ({ agents: [own("one", { displayName: `n${index}` })] });
    await fleet.apply({ agents: [own("one")] });
    fleet.trail.length = 0;
    const applies = Array.from({ length: 50 }, (_, index) => fleet.apply(named(index)));
    const befores = (await Promise.all(applies)).map(({ agents }) => agents[0]?.fields[0]?.before);
    expect(new Set(befores).size).toBe(50);
    expect(fleet.trail).toHaveLength(50);
  });

  it("is all or nothing", async () => {
    const broken = [own("one"), agent("two", { spec: { model: "nope/m" } })];
    await expect(fleet.apply({ agents: broken })).rejects.toMatchObject({ reason: "PROVIDER_NOT_FOUND" });
    await expect(fleet.apply({ agents: [own("one"), agent("two")] })).rejects.toMatchObject({
      reason: "AGENT_MODEL_INVALID",
      hint: expect.stringContaining("defaults"),
    });
    await expect(fleet.apply({ defaults: defaults({ model: "nope/m" }) })).rejects.toMatchObject({
      reason: "PROVIDER_NOT_FOUND",
    });
    expect(await ids()).toEqual([]);
  });

  it("clears an agent's own value that the manifest no longer has, so that it inherits", async () => {
    await fleet.apply({ defaults: defaults({ model: "offline/echo" }), agents: [own("one")] });
    const { agents } = await fleet.apply({ agents: [agent("one")] });
    expect(agents[0]?.fields).toEqual([{ path: "model", before: "offline/echo", after: "", sensitive: false }]);
    await expect(fleet.apply({ defaults: defaults({}) })).rejects.toMatchObject({ reason: "DEFAULTS_NEEDED" });
    await expect(fleet.apply({ defaults: defaults({}), agents: [agent("one")] })).rejects.toMatchObject({
      reason: "AGENT_MODEL_INVALID",
    });
    // Named with a model of its own, it does not need them.
    expect(words(await fleet.apply({ defaults: defaults({}), agents: [own("one")] }))).toEqual([
      "defaults delete",
      "one update",
    ]);
  });

  it("changes defaults only for who reaches and may write every agent", async () => {
    const wantedDefaults = { defaults: defaults({ model: "offline/echo" }) };
    const ann = { caller: fleet.caller("ann") };
    expect(words(await fleet.apply(wantedDefaults, ann))).toEqual(["defaults refused"]);
    const one = { mayWrite: (resource: string, id: string) => resource === "agents" && id === "one" };
    expect(words(await fleet.apply({ ...wantedDefaults, agents: [agent("one")] }, one))).toEqual([
      "defaults refused",
      "one create",
    ]);
    expect(await ids()).toEqual([]);
    await fleet.apply(wantedDefaults);
    expect(words(await fleet.apply(wantedDefaults, ann))).toEqual(["defaults none"]);
    // A prune of somebody who may not change them is not about them.
    expect(words(await fleet.apply({}, { ...ann, prune: true }))).toEqual([]);
  });

  it("changes providers only for who may write them, and leaves the others alone in a prune", async () => {
    const mayWrite = (resource: string) => resource !== "providers";
    expect(words(await fleet.apply(wanted, { mayWrite })).slice(1, 2)).toEqual(["mine refused"]);
    await fleet.apply({ providers: [provider("mine")] });
    expect(words(await fleet.apply({ providers: [provider("mine")] }, { mayWrite }))).toEqual(["mine none"]);
    expect(words(await fleet.apply({}, { mayWrite, prune: true }))).toEqual([]);
  });
});

describe("a prune", () => {
  it("deletes what is not named, has the other domains forget it in the same transaction, and tells memory afterwards", async () => {
    await fleet.apply({
      agents: [own("one"), own("two"), own("three", { spec: { model: "offline/echo", launcher: Launcher.EXTERNAL } })],
    });
    await fleet.fleet.agentsRead();
    const { agents } = await fleet.apply({ agents: [own("two")] }, { prune: true });
    expect(agents.map(({ id, action }) => `${id} ${action}`)).toEqual(["two none", "one delete", "three delete"]);
    expect(fleet.calls).toEqual(["forget one", "forget three"]);
    await fleet.fleet.manifestApplied(["one", "three"]);
    // The sidecar of one that somebody else starts may host others too.
    expect(fleet.calls.slice(2)).toEqual(["revoke one"]);
    expect(fleet.fleet.knownAgentIds()).toEqual(["two"]);
  });

  it("says in a plan what it would do, and changes nothing", async () => {
    await fleet.apply({ agents: [own("one")], providers: [provider("mine")] });
    const before = await ids();
    expect(words(await fleet.apply({}, { prune: true, dryRun: true }))).toEqual(["mine delete", "one delete"]);
    expect([await ids(), fleet.calls]).toEqual([before, []]);
  });

  it("keeps what is in use, and says by whom", async () => {
    await fleet.apply({
      defaults: defaults({ model: "offline/echo" }),
      providers: [provider("mine")],
      agents: [agent("one"), agent("two", { spec: { model: "mine/m" } })],
    });
    const pruned = fleet.apply({ agents: [agent("two", { spec: { model: "mine/m" } })] }, { prune: true });
    await expect(pruned).rejects.toMatchObject({
      reason: "PROVIDER_IN_USE",
      message: expect.stringContaining('agent "two"'),
    });
    const orphaned = fleet.apply({ agents: [agent("one")] }, { prune: true });
    await expect(orphaned).rejects.toMatchObject({ reason: "AGENT_MODEL_INVALID" });
    // Of somebody else, whom the prune does not reach.
    const reach = { ...EVERYTHING, has: (id: string) => id !== "two" };
    const caller = { ...fleet.caller("operator"), agents: reach } as ApplyOptions["caller"];
    await expect(fleet.apply({ agents: [own("one")] }, { prune: true, caller })).rejects.toMatchObject({
      reason: "PROVIDER_IN_USE",
      message: expect.not.stringContaining("two"),
    });
    expect(await ids()).toEqual(["one", "two"]);
  });

  it("only compares for a drift, also what could not be taken away", async () => {
    await fleet.apply({
      defaults: defaults({ model: "offline/echo" }),
      providers: [provider("mine")],
      agents: [agent("one"), agent("two", { spec: { model: "mine/m" } })],
    });
    const named = { agents: [agent("one"), agent("two", { spec: { model: "mine/m" } })] };
    const options = { prune: true, dryRun: true, compareOnly: true };
    expect(words(await fleet.apply(named, options))).toEqual([
      "defaults delete",
      "mine delete",
      "one none",
      "two none",
    ]);
    expect(await fleet.fleet.storedDefaults(store.database)).toBeDefined();
  });

  it("is undone with its transaction", async () => {
    await fleet.apply({ agents: [own("one")] });
    const failing = fleet.apply({}, { prune: true, record: () => Promise.reject(new Error("no trail")) });
    await expect(failing).rejects.toThrow("no trail");
    expect(await ids()).toEqual(["one"]);
  });
});

describe("the number of statements", () => {
  const many = (count: number, displayName = "") =>
    Array.from({ length: count }, (_, index) => own(`a${index}`, { displayName }));
  const providers = (count: number, baseUrl: string) =>
    Array.from({ length: count }, (_, index) => provider(`p${index}`, baseUrl));
  const steps = async (count: number) => [
    await counted({ agents: many(count), providers: providers(count, "http://x") }, { dryRun: true }),
    await counted({ agents: many(count), providers: providers(count, "http://x") }),
    await counted({ agents: many(count, "New"), providers: providers(count, "http://y") }),
    await counted({ agents: many(count, "New"), providers: providers(count, "http://y") }),
    await counted({}, { prune: true, dryRun: true }),
    await counted({}, { prune: true }),
  ];

  it("is the same for a thousand agents as for one, in a plan and in an apply", async () => {
    const one = await steps(1);
    expect(await steps(1000)).toEqual(one);
    expect(Math.max(...one)).toBeLessThanOrEqual(14);
    expect(await ids()).toEqual([]);
  });
});

describe("an export", () => {
  it("holds what each agent sets itself, custom providers and defaults, and gives the same when it is applied elsewhere", async () => {
    await fleet.apply({
      defaults: defaults({ model: "mine/m", launcher: Launcher.EXTERNAL }),
      providers: [provider("mine"), provider("alpha")],
      agents: [own("b", { desiredState: DesiredState.STOPPED }), agent("a", { labels: { k: "v" } })],
    });
    const exported = await fleet.fleet.exportFleet(store.database, EVERYTHING);
    expect(exported.providers.map(({ name }) => name)).toEqual(["alpha", "mine"]);
    expect(exported.agents).toEqual([
      agent("a", { displayName: "a", labels: { k: "v" }, spec: {}, desiredState: DesiredState.RUNNING }),
      own("b", { displayName: "b", desiredState: DesiredState.STOPPED }),
    ]);
    expect(await fleet.fleet.storedDefaults(store.database)).toEqual(exported.defaults?.spec);
    const elsewhere = await testDatabase([fleetMigrations]);
    const other = makeFleet({ database: elsewhere.database });
    await other.apply(exported);
    expect(await other.fleet.exportFleet(elsewhere.database, EVERYTHING)).toEqual(exported);
    expect(words(await fleet.apply(exported, { prune: true })).filter((word) => !word.endsWith(" none"))).toEqual([]);
    await other.fleet.close();
    await elsewhere.drop();
  });

  it("is empty for an empty fleet, and holds nothing out of reach", async () => {
    const empty = { defaults: undefined, providers: [], agents: [] };
    expect(await fleet.fleet.exportFleet(store.database, EVERYTHING)).toEqual(empty);
    await fleet.apply({ agents: [own("one"), own("two")] });
    const reach = { all: false, has: (id: string) => id === "two", ids: () => ["two"] };
    expect((await fleet.fleet.exportFleet(store.database, reach)).agents.map(({ id }) => id)).toEqual(["two"]);
  });
});
