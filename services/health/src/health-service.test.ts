import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { ComponentHealthSchema, HealthState } from "@openhermit/protocol/health/v1/health";
import { HealthService as HealthRpc } from "@openhermit/protocol/health/v1/health_service";
import type { Caller } from "@openhermit/caller";
import { createDatabase, migrate, startEmbeddedPostgres, type Database } from "@openhermit/postgres";
import { temporaryDirectory, testCaller, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { component } from "./component-health.ts";
import { createHealthService, healthMigrations, type HealthPorts, type HealthService } from "./health-service.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase([healthMigrations]);
  await waitFor(() => db.database.status().ready, { what: "the database" });
});
afterAll(() => db.drop());

const ONLINE = { agentId: "one", state: AgentState.ONLINE, detail: "" };
const gateway = (
  database: Database,
  ports: Partial<HealthPorts> = {},
  caller: () => Caller = () => testCaller(),
): HealthService =>
  createHealthService({
    database,
    log: testLog(),
    caller,
    ports: { agents: async () => [ONLINE], databaseStatus: database.status, ...ports },
  });
const detailIn = async (service: HealthService): Promise<string | undefined> =>
  (await service.summary()).agents[0]?.components.find(({ name }) => name === "model")?.detail;

test("a report is seen at once here, soon on other gateways, also on one that starts later; and only changes are written", async () => {
  const otherDatabase = createDatabase({ url: db.url, log: testLog(), applicationName: "other" });
  const [here, there] = [gateway(db.database), gateway(otherDatabase)];
  const client = createClient(HealthRpc, createRouterTransport(here.routes));
  try {
    await here.reported("one", [component("model", HealthState.DEGRADED, "slow\0 today")]);
    const { health } = await client.getFleetHealth({});
    expect(health).toMatchObject({
      state: HealthState.DEGRADED,
      agents: [{ agentId: "one", state: HealthState.DEGRADED }],
    });
    await waitFor(async () => (await detailIn(there)) === "slow\0 today", { what: "the other gateway" });

    const before = db.database.statementCount();
    for (let i = 0; i < 20; i++) await here.reported("one", [component("model", HealthState.DEGRADED, "slow\0 today")]);
    await here.reported("one", [component("model", HealthState.OK, "")]);
    await waitFor(async () => (await detailIn(there)) === "", { what: "the change on the other gateway" });
    expect(db.database.statementCount() - before).toBeLessThanOrEqual(2);

    const late = gateway(otherDatabase);
    await waitFor(async () => (await detailIn(late)) === "", { what: "a gateway that starts later" });
    await late.close();

    await expect(
      db.database.transaction(async (tx) => {
        await here.forgetAgents(tx, ["one"]);
        throw new Error("changed my mind");
      }),
    ).rejects.toThrow("changed my mind");
    await here.reported("two", [component("model", HealthState.OK, "")]);
    await waitFor(() => there.components("model").has("two"), { what: "what came after the rollback" });
    expect([here, there].map((each) => each.components("model").has("one"))).toEqual([true, true]);

    await db.database.transaction((tx) => here.forgetAgents(tx, ["one", "two", "never-was"]));
    await waitFor(() => [here, there].every((each) => each.components("model").size === 0), { what: "both to forget" });
    const afterwards = gateway(otherDatabase);
    await expect(detailIn(afterwards)).resolves.toBeUndefined();
    await afterwards.close();
  } finally {
    await Promise.all([here.close(), there.close()]);
    await otherDatabase.end();
  }
});

test("it answers while the database is away, and writes what was reported meanwhile when it is back", async () => {
  const directory = await temporaryDirectory();
  const start = () => startEmbeddedPostgres({ directory: directory.path, log: testLog(), durable: false });
  let server = await start();
  const database = createDatabase({ url: server.url, log: testLog(), applicationName: "test" });
  await migrate(database, [healthMigrations], testLog());
  let away = false;
  const service = gateway(database, {
    agents: async () => {
      if (away) throw new Error("no database");
      return [ONLINE];
    },
  });
  try {
    expect((await service.summary()).agents).toHaveLength(1);
    away = true;
    await server.stop();
    await waitFor(() => !database.status().ready, { what: "the loss" });
    await service.reported("one", [component("model", HealthState.DOWN, "told without a database")]);
    const summary = await service.summary();
    expect(summary.state).toBe(HealthState.DOWN);
    expect(summary.reasons[0]).toContain("the database is away");
    expect(summary.agents[0]).toMatchObject({ agentId: "one", state: HealthState.DOWN });

    server = await start();
    await waitFor(() => database.status().ready, { what: "the return" });
    const other = gateway(database);
    await waitFor(async () => (await detailIn(other)) === "told without a database", { what: "the late write" });
    await other.close();
  } finally {
    await service.close();
    await database.end();
    await server.stop();
    await directory.remove();
  }
});

test("what is known of one component is told of each agent, tools and last error too, here and on other gateways", async () => {
  const otherDatabase = createDatabase({ url: db.url, log: testLog(), applicationName: "other" });
  const [here, there] = [gateway(db.database), gateway(otherDatabase)];
  const mcp = (fields: MessageInitShape<typeof ComponentHealthSchema>) =>
    create(ComponentHealthSchema, { name: "mcp:files", state: HealthState.OK, ...fields });
  const seen = (service: HealthService) =>
    [...service.components("mcp:files")].map(([agentId, item]) => [agentId, item.toolCount, item.lastError]);
  const seenThere = (what: unknown) =>
    waitFor(() => JSON.stringify(seen(there)) === JSON.stringify(what), { what: `${JSON.stringify(what)} there` });
  try {
    await here.reported("one", [mcp({ toolCount: 3 }), component("model", HealthState.OK, "")]);
    await here.reported("two", [component("model", HealthState.OK, "")]);
    expect(seen(here)).toEqual([["one", 3, ""]]);
    await seenThere([["one", 3, ""]]);

    // Nothing but the number of tools, and then nothing but the error, has changed.
    await here.reported("one", [mcp({ toolCount: 4 })]);
    await seenThere([["one", 4, ""]]);
    const lastErrorTime = timestampFromDate(new Date("2026-01-02T03:04:05Z"));
    await here.reported("one", [mcp({ toolCount: 4, lastError: "it hung", lastErrorTime })]);
    await seenThere([["one", 4, "it hung"]]);
    // A sidecar that was started anew knows of no error.
    await here.reported("one", [mcp({ toolCount: 5 })]);
    await seenThere([["one", 5, "it hung"]]);
    expect(there.components("mcp:files").get("one")?.lastErrorTime).toEqual(lastErrorTime);
    // The server was taken away: its error goes with it.
    await here.reported("one", []);
    await seenThere([]);
    await here.reported("one", [mcp({ toolCount: 6, lastError: "x".repeat(3000) })]);
    await seenThere([["one", 6, "x".repeat(2000)]]);
  } finally {
    await db.database.transaction((tx) => here.forgetAgents(tx, ["one", "two"]));
    await Promise.all([here.close(), there.close()]);
    await otherDatabase.end();
  }
});

test("what a sidecar that has left said of its components no longer holds, until it is back; its health stays as it was", async () => {
  const otherDatabase = createDatabase({ url: db.url, log: testLog(), applicationName: "other" });
  const away = { ...ONLINE, state: AgentState.UNREACHABLE };
  const ports = { agents: async () => [away] };
  const [here, there] = [gateway(db.database, ports), gateway(otherDatabase, ports)];
  const both = (count: number) =>
    waitFor(() => [here, there].every((each) => each.components("model").size === count), { what: `${count} on both` });
  try {
    await here.reported("one", [component("model", HealthState.OK, "well")]);
    await both(1);
    here.sidecarLeft(["one", "never-was"]);
    expect(here.components("model").size).toBe(0);
    await both(0);
    expect([await detailIn(here), await detailIn(there)]).toEqual(["well", "well"]);
    const late = gateway(otherDatabase, ports);
    await waitFor(async () => (await detailIn(late)) === "well", { what: "a gateway that starts later" });
    expect(late.components("model").size).toBe(0);
    await late.close();
    // It is back, and says the same as before.
    await here.reported("one", [component("model", HealthState.OK, "well")]);
    await both(1);
    expect(here.components("never-was").size).toBe(0);
  } finally {
    await db.database.transaction((tx) => here.forgetAgents(tx, ["one"]));
    await Promise.all([here.close(), there.close()]);
    await otherDatabase.end();
  }
});

test("agents that are not told in time do not keep the answer waiting", async () => {
  const service = gateway(db.database, { agents: () => new Promise(() => undefined) });
  await expect(service.summary()).resolves.toMatchObject({ agents: [] });
  await service.close();
});

test("who reaches some agents learns nothing of the others: no name, no sentence, no count, no state", async () => {
  const troubled = (agentId: string) => ({ agentId, state: AgentState.CRASHED, detail: `${agentId} has crashed` });
  const views = [ONLINE, ...Array.from({ length: 60 }, (_, i) => troubled(`hidden-${i}`)), troubled("two")];
  const ann = testCaller("member:ann", ["one"]);
  let caller: Caller = ann;
  const service = gateway(db.database, { agents: async () => views }, () => caller);
  const client = createClient(HealthRpc, createRouterTransport(service.routes));
  const asked = async () => (await client.getFleetHealth({})).health;
  try {
    await service.reported("one", [component("model", HealthState.OK, "")]);
    await service.reported("hidden-0", [component("mcp:secret", HealthState.DOWN, "no such program")]);
    const seen = await asked();
    expect(seen).toMatchObject({ state: HealthState.OK, reasons: [], agents: [{ agentId: "one" }] });
    expect(
      JSON.stringify(seen, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value)),
    ).not.toMatch(/hidden|two|secret|more problems/);

    ann.agentIds.add("two");
    expect(await asked()).toMatchObject({
      state: HealthState.DEGRADED,
      reasons: ['agent "two": two has crashed'],
      agents: [{ agentId: "one" }, { agentId: "two" }],
    });
    ann.agentIds.clear();
    expect(await asked()).toMatchObject({ state: HealthState.OK, reasons: [], agents: [] });

    // Neither a sidecar nor anybody else without rights sees an agent, should one ever get this far.
    for (const stranger of [
      { kind: "anonymous" } as const,
      { kind: "sidecar", sidecarId: "one", agentIds: ["one"] } as const,
    ]) {
      caller = stranger;
      expect((await asked())?.agents).toEqual([]);
    }
    caller = testCaller();
    expect((await asked())?.agents).toHaveLength(62);
    expect((await service.summary()).agents).toHaveLength(62);
    expect((await service.summary(ann.agents)).agents).toEqual([]);
  } finally {
    await service.close();
  }
});

test("without a database it still shows only what is in reach", async () => {
  const away = { ready: false, since: new Date(0), detail: "connect ECONNREFUSED 127.0.0.1:5432" };
  const agents = async () => [ONLINE, { ...ONLINE, agentId: "two" }];
  const service = gateway(db.database, { agents, databaseStatus: () => away });
  const summary = await service.summary(testCaller("member:ann", ["two"]).agents);
  expect(summary).toMatchObject({ state: HealthState.DOWN, agents: [{ agentId: "two" }] });
  expect(summary.agents).toHaveLength(1);
  expect(summary.reasons).toHaveLength(1);
  await service.close();
});
