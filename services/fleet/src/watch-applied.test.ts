import { create } from "@bufbuild/protobuf";
import { createDatabase, quoteName, rawSql, sql, type Database } from "@openhermit/postgres";
import { AgentSchema, AgentState, Launcher } from "@openhermit/protocol/fleet/v1/agent";
import type { WatchAppliedResponse } from "@openhermit/protocol/fleet/v1/fleet_service";
import { testCaller, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type Fleet } from "../test/fleet-harness.ts";
import { EVERYTHING } from "../test/test-people.ts";
import { fleetMigrations } from "./index.ts";
import { createAppliedWatch } from "./watch-applied.ts";

let store: TestDatabase;
let fleet: Fleet;
let end: AbortController;

beforeEach(async () => {
  store = await testDatabase([fleetMigrations]);
  fleet = makeFleet({ database: store.database, people: { ann: { teams: ["red"] } }, teams: ["red"] });
  end = new AbortController();
});
afterEach(async () => {
  end.abort();
  await fleet.fleet.close();
  await store.drop();
});

/** Agents that somebody else starts, with a link. */
async function online(...ids: string[]): Promise<void> {
  const spec = { model: "offline/echo", launcher: Launcher.EXTERNAL };
  await fleet.apply({ agents: ids.map((id) => create(AgentSchema, { id, spec })) });
  fleet.fleet.start();
  // They are a part of the generations.
  const builtins = sql`SELECT FROM fleet.providers`;
  await waitFor(async () => (await store.database.query(builtins)).rowCount > 0, { what: "the built-in providers" });
  await fleet.fleet.sidecarAttached({
    sidecarId: "pool",
    agentIds: ids,
    host: "here",
    pid: 1,
    version: "1",
    epoch: 1n,
    instanceId: "i",
  });
}
const desired = async (agentId: string) => (await fleet.agent(agentId)).status?.desiredGeneration ?? 0n;
const answer = (agentId: string, generation: bigint, rejectedReason = "") =>
  fleet.fleet.snapshotAnswered({ agentId, generation, rejectedReason });
const applied = async (agentId: string) => answer(agentId, await desired(agentId));
const teach = (agentId: string, instructions: string) =>
  fleet.client.updateAgent({
    agent: { id: agentId, spec: { instructions } },
    updateMask: { paths: ["spec.instructions"] },
  });

interface Watch {
  readonly messages: WatchAppliedResponse[];
  /** Of the last message. */
  counts(): string;
  /** Resolves when the stream has ended; with the error it ended with. */
  readonly ended: Promise<unknown>;
  isOver(): boolean;
}

function watch(agentIds: string[] = [], client = fleet.client): Watch {
  const messages: WatchAppliedResponse[] = [];
  let over = false;
  const read = async (): Promise<void> => {
    for await (const message of client.watchApplied({ agentIds }, { signal: end.signal })) messages.push(message);
  };
  const ended = read().then(
    () => void (over = true),
    (error: unknown) => {
      over = true;
      return error;
    },
  );
  return {
    messages,
    counts() {
      const last = messages.at(-1);
      return `${last?.appliedCount} of ${last?.totalCount}, ${last?.stoppedCount} stopped`;
    },
    ended,
    isOver: () => over,
  };
}

describe("a watch", () => {
  it("ends at once when none is behind, and takes no agents for that", async () => {
    const none = watch();
    expect(await none.ended).toBeUndefined();
    expect([none.messages.length, none.counts()]).toEqual([1, "0 of 0, 0 stopped"]);
    await online("one");
    await applied("one");
    await waitFor(async () => (await fleet.agent("one")).status?.state === AgentState.ONLINE, { what: "the link" });
    const one = watch();
    expect(await one.ended).toBeUndefined();
    expect(one.counts()).toBe("1 of 1, 0 stopped");
  });

  it("follows agents to the generation that was noted, says who is behind and why, and ends", async () => {
    await online("one", "two", "three");
    for (const id of ["one", "two", "three"]) await applied(id);
    await waitFor(async () => (await fleet.fleet.agents()).every(({ state }) => state === AgentState.ONLINE), {
      what: "the links",
    });
    await answer("two", await desired("two"), "an old reason");
    await fleet.client.putDefaults({ defaults: { spec: { instructions: "Be kind." } } });
    const [one, two, three] = [await desired("one"), await desired("two"), await desired("three")];
    const all = watch();
    await waitFor(() => all.messages.length > 0, { what: "the first message" });
    expect(all.counts()).toBe("0 of 3, 0 stopped");
    expect(all.messages[0]?.behind.map(({ agentId }) => agentId)).toEqual(["one", "three", "two"]);
    expect(all.messages[0]?.behind[0]).toMatchObject({ desiredGeneration: one, rejectedReason: "" });
    // What was rejected before says nothing of what is waited for.
    expect(all.messages[0]?.behind[2]?.rejectedReason).toBe("");

    await applied("one");
    await answer("two", await desired("two"), "no such tool");
    await waitFor(() => all.counts() === "1 of 3, 0 stopped" && all.messages.at(-1)?.behind[1]?.rejectedReason, {
      what: "what they said",
    });
    const rejected = all.messages.at(-1)?.behind[1];
    expect(rejected).toMatchObject({ agentId: "two", state: AgentState.ONLINE, rejectedReason: "no such tool" });
    expect(rejected?.detail).toBe(
      `Behind: runs generation ${rejected?.appliedGeneration}, should run ${two}; ` +
        "it rejected its newest configuration: no such tool",
    );
    expect((await fleet.agent("two")).status?.detail).toBe(rejected?.detail);

    // A change that comes later is not what was waited for.
    await teach("two", "Later.");
    await answer("three", three);
    await answer("two", two);
    expect(await all.ended).toBeUndefined();
    expect(all.counts()).toBe("3 of 3, 0 stopped");
    expect((await fleet.agent("two")).status?.detail).toBe(
      `Behind: runs generation ${two}, should run ${await desired("two")}.`,
    );
  });

  it("does not wait for agents that are stopped, also when they are stopped meanwhile", async () => {
    await online("one", "two");
    await fleet.client.stopAgent({ agentId: "two" });
    const both = watch(["one", "two"]);
    await waitFor(() => both.counts() === "0 of 1, 1 stopped", { what: "the first message" });
    await fleet.client.stopAgent({ agentId: "one" });
    expect(await both.ended).toBeUndefined();
    expect(both.counts()).toBe("0 of 0, 2 stopped");
  });

  it("follows only what is in reach, and stays so: moved and deleted agents are no longer followed", async () => {
    await online("one", "two", "three");
    for (const id of ["one", "two"]) {
      await fleet.client.updateAgent({ agent: { id, team: "red" }, updateMask: { paths: ["team"] } });
    }
    const ann = fleet.as("ann");
    const hers = watch([], ann);
    await waitFor(() => hers.counts() === "0 of 3, 0 stopped", { what: "the first message" });
    await fleet.client.deleteAgent({ agentId: "three" });
    await waitFor(() => hers.counts() === "0 of 2, 0 stopped", { what: "the end of the deleted one" });
    await store.database.query(sql`UPDATE fleet.agents SET team = 'blue' WHERE id = 'one'`);
    await waitFor(() => hers.counts() === "0 of 1, 0 stopped", { what: "the end of the moved one" });
    expect(hers.messages.at(-1)?.behind.map(({ agentId }) => agentId)).toEqual(["two"]);
    expect(String(await watch(["one"], ann).ended)).toContain("AGENT_NOT_FOUND");
    expect(String(await watch(["two", "never-was"], ann).ended)).toContain("AGENT_NOT_FOUND");
    await applied("two");
    expect(await hers.ended).toBeUndefined();
  });

  it("drops an agent whose grant ends, though its row is the same", async () => {
    await online("one", "two");
    const caller = testCaller("member:gus", ["one", "two"]);
    const hub = createAppliedWatch({
      database: store.database,
      log: testLog(),
      catalogRevisions: async () => new Map(),
    });
    const stream = hub.follow([], caller.agents, end.signal);
    expect((await stream.next()).value).toMatchObject({ totalCount: 2 });
    caller.agentIds.delete("two");
    expect((await stream.next()).value).toMatchObject({ totalCount: 1, behind: [{ agentId: "one" }] });
    await hub.close();
    await expect(stream.next()).rejects.toMatchObject({ reason: "GATEWAY_STOPPING" });
  });

  it("names at most a hundred agents, and counts the rest", async () => {
    const ids = Array.from({ length: 130 }, (_, index) => `a${String(index).padStart(3, "0")}`);
    await online(...ids);
    const all = watch();
    await waitFor(() => all.messages.length > 0, { what: "the first message" });
    expect(all.messages[0]).toMatchObject({ totalCount: 130, behindCount: 130, appliedCount: 0 });
    expect(all.messages[0]?.behind.map(({ agentId }) => agentId)).toEqual(ids.slice(0, 100));
  });

  it("ends when the caller hangs up, and with the gateway", async () => {
    await online("one");
    const left = watch();
    await waitFor(() => left.messages.length > 0, { what: "the first message" });
    end.abort();
    expect(String(await left.ended)).toContain("abort");
    end = new AbortController();
    const held = watch();
    await waitFor(() => held.messages.length > 0, { what: "the first message" });
    await fleet.fleet.close();
    expect(String(await held.ended)).toContain("GATEWAY_STOPPING");
  });
});

it("reads the database once for all watchers, only while there are some, and only for agents that are not done", async () => {
  await online("one", "two");
  await applied("two");
  await waitFor(async () => (await fleet.agent("two")).status?.state === AgentState.ONLINE, { what: "the link" });
  await fleet.fleet.stopAll(0);
  const asked: unknown[] = [];
  const counting: Pick<Database, "query"> = {
    query(statement) {
      asked.push(statement.values);
      return store.database.query(statement);
    },
  };
  const hub = createAppliedWatch({ database: counting, log: testLog(), catalogRevisions: async () => new Map() });
  const streams = [1, 2, 3].map(() => hub.follow([], EVERYTHING, end.signal));
  for (const stream of streams) await stream.next();
  expect(asked).toHaveLength(3);
  const waiting = streams.map((stream) => stream.next());
  await waitFor(() => asked.length >= 5, { what: "two more looks" });
  // Each names the one agent that is waited for, once.
  expect(asked.slice(3).every((values) => JSON.stringify(values) === '[["one"]]')).toBe(true);
  end.abort();
  expect(await Promise.all(waiting)).toEqual([1, 2, 3].map(() => ({ done: true, value: undefined })));
  const before = asked.length;
  const until = performance.now() + 600;
  await waitFor(() => performance.now() > until, { what: "two periods to pass" });
  expect(asked.length).toBeLessThanOrEqual(before + 1);
  await hub.close();
});

it("survives an outage of the database, and goes on afterwards", async () => {
  const database = createDatabase({ url: store.url, log: testLog(), applicationName: "cut off" });
  const cutOff = makeFleet({ database });
  await online("one");
  cutOff.fleet.start();
  const name = new URL(store.url).pathname.slice(1);
  const admin = createDatabase({ url: store.url.replace(name, "postgres"), log: testLog(), applicationName: "admin" });
  const allow = (isAllowed: boolean) => rawSql(`ALTER DATABASE ${quoteName(name)} ALLOW_CONNECTIONS ${isAllowed}`);
  const there = watch([], cutOff.client);
  try {
    await waitFor(() => there.messages.length > 0, { what: "the first message" });
    await admin.query(allow(false));
    await admin.query(sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${name}`);
    await waitFor(() => !database.status().ready, { what: "the database to be away" });
    expect(String(await watch([], cutOff.client).ended)).toContain("DATABASE_UNAVAILABLE");
  } finally {
    await admin.query(allow(true));
    await admin.end();
  }
  expect(there.isOver()).toBe(false);
  await waitFor(() => store.database.status().ready && database.status().ready, { what: "the database to be back" });
  await waitFor(() => applied("one").then(() => true), { what: "the answer" });
  expect(await there.ended).toBeUndefined();
  expect(there.counts()).toBe("1 of 1, 0 stopped");
  await cutOff.fleet.close();
  await database.end();
});
