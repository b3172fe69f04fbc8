import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AgentState, DesiredState, Launcher, ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { sweep } from "@openhermit/processes";
import { createDatabase, quoteName, rawSql, sql } from "@openhermit/postgres";
import { temporaryDirectory, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, runs, startsOf, tell, type Fleet, type Start } from "../test/fleet-harness.ts";
import { EVERYTHING } from "../test/test-people.ts";
import { fleetMigrations } from "./index.ts";
import { openLauncherHome } from "./launcher/launcher-home.ts";

let store: TestDatabase;
let home: Awaited<ReturnType<typeof temporaryDirectory>>;
const fleets: Fleet[] = [];
const homes: string[] = [];

beforeAll(async () => {
  store = await testDatabase([fleetMigrations]);
});
afterAll(() => store.drop());
beforeEach(async () => {
  home = await temporaryDirectory();
});
afterEach(async () => {
  for (const { fleet } of fleets) await fleet.close();
  // No process is left for nobody, and no agent for the next test.
  for (const path of [home.path, ...homes.splice(0)]) await sweep(openLauncherHome(path).id);
  await store.database.query(
    rawSql("TRUNCATE fleet.agents, fleet.sidecar_claims, fleet.agent_status; UPDATE fleet.defaults SET spec = '{}'"),
  );
  fleets.length = 0;
  await home.remove();
});

function start(options: Partial<Parameters<typeof makeFleet>[0]> = {}): Fleet {
  const fleet = makeFleet({ database: store.database, home: home.path, ...options });
  fleets.push(fleet);
  fleet.fleet.start();
  return fleet;
}
const create = (fleet: Fleet, id: string, spec: { model?: string; launcher?: Launcher } = {}) =>
  fleet.client.createAgent({ agent: { id, spec: { model: "offline/echo", ...spec } } });
const putTestProvider = (fleet: Fleet) =>
  fleet.client.putProvider({
    provider: {
      name: "test",
      kind: ProviderKind.OPENAI_COMPATIBLE,
      baseUrl: "http://localhost:1",
      apiKeyEnv: "TEST_API_KEY",
    },
  });
const nthStart = (agentId: string, count: number): Promise<Start> =>
  waitFor(() => startsOf(home.path, agentId)[count - 1], { what: `start ${count} of ${agentId}` });
const attach = (fleet: Fleet, agentId: string, { pid }: { pid: number }, epoch = 1n): Promise<void> =>
  fleet.fleet.sidecarAttached({
    sidecarId: agentId,
    agentIds: [agentId],
    host: "here",
    pid,
    version: "0.1.0",
    epoch,
    instanceId: "i",
  });
const state = (fleet: Fleet, id: string, wanted: AgentState) =>
  waitFor(async () => (await fleet.agent(id)).status?.state === wanted, { what: `${id} in state ${wanted}` });

describe("a sidecar of the gateway", () => {
  it("starts with what it needs and nothing more, and goes through its states", async () => {
    const fleet = start();
    await putTestProvider(fleet);
    await create(fleet, "one", { model: "test/model" });
    const first = await nthStart("one", 1);
    expect((await fleet.agent("one")).status?.state).toBe(AgentState.STARTING);
    expect(Object.keys(first.env).toSorted()).toEqual([
      "OPENHERMIT_GATEWAY_URL",
      "OPENHERMIT_JOIN_TOKEN_FILE",
      "OPENHERMIT_OWNER",
      "OPENHERMIT_SIDECAR_HOME",
      "PATH",
      "TEST_API_KEY",
    ]);
    expect([first.tokenMode, first.homeMode]).toEqual([0o600, 0o700]);
    expect(first.token).toMatch(/^secret-join-token/);
    const everywhere = JSON.stringify([first.argv, first.env]) + readFileSync(`/proc/${first.pid}/cmdline`, "latin1");
    expect(everywhere).not.toContain("secret-join-token");

    await attach(fleet, "one", first);
    await fleet.fleet.snapshotAnswered({ agentId: "one", generation: 7n, rejectedReason: "" });
    await state(fleet, "one", AgentState.ONLINE);
    expect((await fleet.agent("one")).status).toMatchObject({ appliedGeneration: 7n, pid: first.pid, host: "here" });

    await fleet.fleet.snapshotAnswered({ agentId: "one", generation: 8n, rejectedReason: "no such model" });
    await waitFor(async () => (await fleet.agent("one")).status?.rejectedReason === "no such model", {
      what: "the reason",
    });

    await fleet.fleet.sidecarDetached({ sidecarId: "one", agentIds: ["one"], epoch: 1n, reason: "lost" });
    await state(fleet, "one", AgentState.UNREACHABLE);
    expect(fleet.events.map(({ detail }) => detail.case)).toEqual([
      "sidecarChange",
      "sidecarChange",
      "configChange",
      "configChange",
      "sidecarChange",
    ]);
  });

  it("is started again after a crash, and says why it crashed", async () => {
    const fleet = start({ launcher: { times: { firstRestartMs: 400, maxRestartMs: 400 } } });
    await putTestProvider(fleet);
    await create(fleet, "one", { model: "test/model" });
    const first = await nthStart("one", 1);
    await tell(home.path, "one", "crash");
    await state(fleet, "one", AgentState.CRASHED);
    const { status } = await fleet.agent("one");
    expect(status?.detail).toBe("its sidecar exited with code 3: can't go on with [redacted]");
    expect(status?.restartCount).toBe(1);
    expect(status?.nextStartTime).toBeDefined();
    const second = await nthStart("one", 2);
    expect(runs(first)).toBe(false);
    await attach(fleet, "one", second);
    await fleet.fleet.snapshotAnswered({ agentId: "one", generation: 1n, rejectedReason: "" });
    await state(fleet, "one", AgentState.ONLINE);
    expect(fleet.events.some(({ detail }) => detail.case === "failure")).toBe(true);
  });

  it("starts at once when it is asked to, however long the pause is", async () => {
    const fleet = start({ launcher: { times: { firstRestartMs: 60_000, maxRestartMs: 60_000 } } });
    await create(fleet, "one");
    await nthStart("one", 1);
    await tell(home.path, "one", "crash");
    await state(fleet, "one", AgentState.CRASHED);
    await fleet.client.startAgent({ agentId: "one" });
    expect(runs(await nthStart("one", 2))).toBe(true);
  });

  it("is drained, then ended with all that it started, even if it ignores SIGTERM", async () => {
    const fleet = start();
    await create(fleet, "one");
    const first = await nthStart("one", 1);
    await tell(home.path, "one", "ignore-term");
    const { agent } = await fleet.client.stopAgent({ agentId: "one" });
    expect(agent?.desiredState).toBe(DesiredState.STOPPED);
    expect(fleet.fleet.agentForTurn("one")).toEqual({ state: "stopped" });
    await state(fleet, "one", AgentState.STOPPED);
    expect(runs(first)).toBe(false);
    expect(fleet.calls).toContain("drain one");
    await fleet.client.startAgent({ agentId: "one" });
    expect(runs(await nthStart("one", 2))).toBe(true);
  });

  it("is replaced, never doubled, by a restart or when its environment changes", async () => {
    const fleet = start();
    await create(fleet, "one");
    const first = await nthStart("one", 1);
    const before = await fleet.agent("one");
    await fleet.client.restartAgent({ agentId: "one" });
    const second = await nthStart("one", 2);
    expect(runs(first)).toBe(false);
    expect((await fleet.agent("one")).etag).toBe(before.etag);
    expect((await fleet.agent("one")).status?.restartCount).toBe(0);

    await putTestProvider(fleet);
    await fleet.client.updateAgent({
      agent: { id: "one", spec: { model: "test/model" } },
      updateMask: { paths: ["spec.model"] },
    });
    const third = await nthStart("one", 3);
    expect([second.env["TEST_API_KEY"], third.env["TEST_API_KEY"]]).toEqual([undefined, "key-of-the-provider"]);
    expect(runs(second)).toBe(false);

    await fleet.client.updateAgent({
      agent: { id: "one", displayName: "First" },
      updateMask: { paths: ["display_name"] },
    });
    await fleet.client.deleteAgent({ agentId: "one" });
    expect(runs(third)).toBe(false);
    expect(startsOf(home.path, "one")).toHaveLength(3);
    expect(fleet.calls.slice(-2)).toEqual(["forget one", "revoke one"]);
  });

  it("is not started by a gateway when somebody else starts it", async () => {
    const fleet = start();
    await create(fleet, "mine");
    await create(fleet, "theirs", { launcher: Launcher.EXTERNAL });
    const first = await nthStart("mine", 1);
    expect(startsOf(home.path, "theirs")).toEqual([]);
    await expect(fleet.client.restartAgent({ agentId: "theirs" })).rejects.toThrow("AGENT_LAUNCHED_EXTERNALLY");
    await fleet.fleet.mayJoinExternally(["theirs"], EVERYTHING);
    await expect(fleet.fleet.mayJoinExternally(["mine"], EVERYTHING)).rejects.toMatchObject({
      reason: "AGENT_LAUNCHED_BY_GATEWAY",
    });
    await fleet.client.updateAgent({
      agent: { id: "mine", spec: { launcher: Launcher.EXTERNAL } },
      updateMask: { paths: ["spec.launcher"] },
    });
    await waitFor(() => !runs(first), { what: "the gateway to let it go" });
  });
});

describe("a gateway", () => {
  it("leaves no orphan when it stops", async () => {
    const fleet = start();
    await Promise.all(["one", "two", "three"].map((id) => create(fleet, id)));
    const first = await Promise.all(["one", "two", "three"].map((id) => nthStart(id, 1)));
    await tell(home.path, "two", "ignore-term");
    await fleet.fleet.stopAll(200);
    expect(first.filter(runs)).toEqual([]);
    await fleet.fleet.close();
    // What a stopped gateway leaves is taken up at once by the next one.
    start();
    await nthStart("one", 2);
  });

  it("that was killed is followed by one that adopts its sidecars", async () => {
    const first = start();
    await create(first, "one");
    const started = await nthStart("one", 1);
    await attach(first, "one", started);
    await first.fleet.snapshotAnswered({ agentId: "one", generation: 1n, rejectedReason: "" });
    await state(first, "one", AgentState.ONLINE);
    await first.fleet.close();

    const second = start();
    // The row still says that it is attached to the gateway that is gone.
    await state(second, "one", AgentState.UNREACHABLE);
    await attach(second, "one", started, 2n);
    await second.fleet.snapshotAnswered({ agentId: "one", generation: 1n, rejectedReason: "" });
    await state(second, "one", AgentState.ONLINE);
    expect(startsOf(home.path, "one")).toHaveLength(1);
    expect((await second.agent("one")).status?.restartCount).toBe(0);

    // It is supervised as if it were a child.
    await second.client.stopAgent({ agentId: "one" });
    await state(second, "one", AgentState.STOPPED);
    expect(runs(started)).toBe(false);
  });

  it("ends what an earlier one left when it can't be adopted", async () => {
    const first = start();
    await create(first, "one");
    const started = await nthStart("one", 1);
    await first.fleet.close();
    start({ ports: { gatewayUrl: () => "http://127.0.0.1:2" } });
    const next = await nthStart("one", 2);
    expect(next.env["OPENHERMIT_GATEWAY_URL"]).toBe("http://127.0.0.1:2");
    expect(runs(started)).toBe(false);
  });

  it("replaces sidecars whose supervisor is gone, which are about to end, and adopts those that still have theirs", async () => {
    const lifelines = ["old", "new"].map((name) => openSync(join(home.path, name), "w"));
    const [old, fresh] = lifelines as [number, number];
    const first = start({ launcher: { lifelineFd: old } });
    await create(first, "one");
    const started = await nthStart("one", 1);
    expect(started.env["OPENHERMIT_LIFELINE_FD"]).toBe("3");
    await first.fleet.close();
    const second = start({ launcher: { lifelineFd: old } });
    await waitFor(() => second.log.records().some(({ msg }) => msg === "sidecar adopted"), { what: "the adoption" });
    await second.fleet.close();
    start({ launcher: { lifelineFd: fresh } });
    await nthStart("one", 2);
    expect(runs(started)).toBe(false);
    for (const fd of lifelines) closeSync(fd);
  });

  it("whose home is taken by a newer one lets go of its sidecars and does not come back for them", async () => {
    const leaseMs = 400;
    const old = start({ leaseMs });
    await create(old, "one");
    const started = await nthStart("one", 1);
    const next = start({ leaseMs });
    await waitFor(() => old.log.records().some(({ msg }) => msg === "a newer gateway of this home has taken over"), {
      what: "the older one to notice",
    });
    expect(runs(started)).toBe(true);
    await next.client.stopAgent({ agentId: "one" });
    await state(next, "one", AgentState.STOPPED);
    await next.client.startAgent({ agentId: "one" });
    await nthStart("one", 2);
    expect(startsOf(home.path, "one").filter(runs)).toHaveLength(1);
  });

  it("that was cut off and has lost a sidecar to another one ends its own", async () => {
    const fleet = start({ leaseMs: 400 });
    await create(fleet, "one");
    const started = await nthStart("one", 1);
    await store.database.query(
      rawSql(`
      INSERT INTO fleet.gateways VALUES ('another', 'instance', now() + interval '1 hour');
      UPDATE fleet.sidecar_claims SET gateway_id = 'another'`),
    );
    await waitFor(() => !runs(started), { what: "its sidecar to end" });
    await store.database.query(rawSql("DELETE FROM fleet.gateways WHERE id = 'another'"));
    // Nobody has it now, so it is free to be taken.
    expect(runs(await nthStart("one", 2))).toBe(true);
  });

  it("shares a database with others: each sidecar starts once, and is taken over only from a gateway that is gone", async () => {
    const other = await temporaryDirectory();
    homes.push(other.path);
    const leaseMs = 1_500;
    const ids = ["one", "two", "three", "four", "five", "six"];
    const a = start({ leaseMs });
    await Promise.all(ids.slice(0, 3).map((id) => create(a, id)));
    await Promise.all(ids.slice(0, 3).map((id) => nthStart(id, 1)));
    const b = start({ leaseMs, home: other.path });
    await Promise.all(ids.slice(3).map((id, index) => create(index % 2 === 0 ? a : b, id)));
    const startedBy = (path: string): string[] => ids.filter((id) => startsOf(path, id).length > 0);
    await waitFor(() => startedBy(home.path).length + startedBy(other.path).length === ids.length, {
      what: "all to start",
    });
    const mine = startedBy(home.path);
    expect(mine.slice(0, 3)).toEqual(["one", "two", "three"]);
    expect(mine.filter((id) => startedBy(other.path).includes(id))).toEqual([]);

    const left = mine.flatMap((id) => startsOf(home.path, id));
    await a.fleet.close();
    await waitFor(() => startedBy(other.path).length === ids.length, { what: "the takeover" });
    expect(left.filter(runs)).toEqual([]);
    expect(b.calls.filter((call) => call.startsWith("revoke")).toSorted()).toEqual(
      mine.map((id) => `revoke ${id}`).toSorted(),
    );
    expect(ids.filter((id) => startsOf(other.path, id).length !== 1)).toEqual([]);
    await b.fleet.stopAll(200);
    await b.fleet.close();
    await other.remove();
    homes.length = 0;
  });

  it("neither restarts nor ends a sidecar because its database was away, and says afterwards what it saw meanwhile", async () => {
    const database = createDatabase({ url: store.url, log: testLog(), applicationName: "cut off" });
    const fleet = start({ database, leaseMs: 400 });
    await create(fleet, "one");
    const started = await nthStart("one", 1);
    await attach(fleet, "one", started);
    const name = new URL(store.url).pathname.slice(1);
    const allow = (isAllowed: boolean) => rawSql(`ALTER DATABASE ${quoteName(name)} ALLOW_CONNECTIONS ${isAllowed}`);
    const admin = createDatabase({
      url: store.url.replace(name, "postgres"),
      log: testLog(),
      applicationName: "admin",
    });
    try {
      await admin.query(allow(false));
      await admin.query(sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${name}`);
      await waitFor(() => !database.status().ready, { what: "the database to be away" });
      await fleet.fleet.snapshotAnswered({ agentId: "one", generation: 5n, rejectedReason: "" });
      expect((await fleet.fleet.agents()).map(({ agentId, state: seen }) => [agentId, seen])).toEqual([
        ["one", AgentState.ONLINE],
      ]);
      expect(fleet.fleet.agentForTurn("one")).toEqual({ state: "ready" });
      // Longer than the lease.
      const until = performance.now() + 600;
      await waitFor(() => performance.now() > until, { what: "the lease to run out" });
    } finally {
      await admin.query(allow(true));
      await admin.end();
    }
    await waitFor(async () => (await fleet.agent("one")).status?.appliedGeneration === 5n, { what: "what was seen" });
    expect(startsOf(home.path, "one")).toHaveLength(1);
    expect(runs(started)).toBe(true);
    await fleet.fleet.close();
    await database.end();
    await waitFor(() => store.database.status().ready, { what: "the database of the next test" });
  });

  it("waits with a start for the database, and does not call that a crash", async () => {
    let isAway = true;
    const fleet = start({
      ports: {
        async createJoinToken() {
          if (isAway) throw new Error("the database is away");
          return { joinToken: "token" };
        },
      },
    });
    await create(fleet, "one");
    await waitFor(async () => (await fleet.agent("one")).status?.detail.includes("the database is away"), {
      what: "the reason",
    });
    expect((await fleet.agent("one")).status).toMatchObject({ state: AgentState.STARTING, restartCount: 0 });
    isAway = false;
    await nthStart("one", 1);
  });
});
