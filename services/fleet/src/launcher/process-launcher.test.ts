import { create } from "@bufbuild/protobuf";
import { sql } from "@openhermit/postgres";
import { sweep } from "@openhermit/processes";
import { AgentSchema, AgentState, Launcher, ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { temporaryDirectory, testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, runs, startsOf, type Fleet, type Start } from "../../test/fleet-harness.ts";
import { fleetMigrations } from "../index.ts";
import { openLauncherHome } from "./launcher-home.ts";

let store: TestDatabase;
let home: Awaited<ReturnType<typeof temporaryDirectory>>;
const fleets: Fleet[] = [];

beforeEach(async () => {
  [store, home] = await Promise.all([testDatabase([fleetMigrations]), temporaryDirectory()]);
});
afterEach(async () => {
  for (const { fleet } of fleets.splice(0)) await fleet.close();
  // No process is left for nobody.
  await sweep(openLauncherHome(home.path).id);
  await Promise.all([store.drop(), home.remove()]);
});

function start(options: Partial<Parameters<typeof makeFleet>[0]> = {}): Fleet {
  const fleet = makeFleet({ database: store.database, home: home.path, ...options });
  fleets.push(fleet);
  fleet.fleet.start();
  return fleet;
}
const add = (fleet: Fleet, id: string, model = "offline/echo") =>
  fleet.client.createAgent({ agent: { id, spec: { model } } });
const nthStart = (agentId: string, count: number): Promise<Start> =>
  waitFor(() => startsOf(home.path, agentId)[count - 1], { what: `start ${count} of ${agentId}` });

describe("a sidecar of the gateway", () => {
  it("is replaced when other defaults give its agent another provider", async () => {
    const fleet = start();
    await fleet.client.putProvider({
      provider: {
        name: "test",
        kind: ProviderKind.OPENAI_COMPATIBLE,
        baseUrl: "http://localhost:1",
        apiKeyEnv: "TEST_API_KEY",
      },
    });
    await fleet.client.putDefaults({ defaults: { spec: { model: "offline/echo" } } });
    await add(fleet, "inherits", "");
    await add(fleet, "own");
    const first = await nthStart("inherits", 1);
    const kept = await nthStart("own", 1);
    expect(first.env["TEST_API_KEY"]).toBeUndefined();
    await fleet.client.putDefaults({ defaults: { spec: { model: "test/model" } } });
    expect((await nthStart("inherits", 2)).env["TEST_API_KEY"]).toBe("key-of-the-provider");
    await fleet.client.putDefaults({ defaults: { spec: { model: "test/model", launcher: Launcher.EXTERNAL } } });
    await waitFor(() => !runs(kept), { what: "the gateway to let go of what it does not start any more" });
    await waitFor(async () => (await fleet.agent("own")).status?.state === AgentState.STARTING, {
      what: "the wait for somebody else",
    });
  });

  it("gets the secrets that its MCP servers refer to when it starts, and is not restarted for others", async () => {
    let names = ["TEST_API_KEY", "MISSING_TOKEN", "OPENHERMIT_OPERATOR_TOKEN", "SECRET"];
    const environment = { PATH: process.env["PATH"], TEST_API_KEY: "k", SECRET: "s", OTHER_TOKEN: "o" };
    const options = {
      ports: { secretNames: async (ids: readonly string[]) => new Map(ids.map((id) => [id, names])) },
      launcher: {
        environment: { ...environment, OPENHERMIT_OPERATOR_TOKEN: "of the mesh" },
        mcpSecrets: ["TEST_API_KEY", "SECRET", "OTHER_TOKEN"],
      },
    };
    const fleet = start(options);
    await add(fleet, "one");
    const first = await nthStart("one", 1);
    expect(first.env).toMatchObject({ TEST_API_KEY: "k", SECRET: "s" });
    for (const name of ["OPENHERMIT_OPERATOR_TOKEN", "OTHER_TOKEN", "MISSING_TOKEN"]) {
      expect(first.env).not.toHaveProperty(name);
    }
    // Neither for another list nor for another value, not even when another gateway adopts it.
    names = ["OTHER_TOKEN"];
    await fleet.client.updateAgent({ agent: { id: "one", displayName: "First" } });
    await fleet.fleet.close();
    const next = start({
      ...options,
      launcher: { ...options.launcher, environment: { ...environment, SECRET: "rotated" } },
    });
    await waitFor(() => next.log.records().some(({ msg }) => msg === "sidecar adopted"), { what: "the adoption" });
    await next.client.restartAgent({ agentId: "one" });
    const second = await nthStart("one", 2);
    expect(second.env).toMatchObject({ OTHER_TOKEN: "o" });
    expect(second.env).not.toHaveProperty("SECRET");
    expect(runs(first)).toBe(false);
  });

  it("ends when a manifest no longer names its agent, and its key is worth nothing", async () => {
    const fleet = start();
    await add(fleet, "one");
    await add(fleet, "two");
    const [one, two] = [await nthStart("one", 1), await nthStart("two", 1)];
    const named = create(AgentSchema, { id: "two", spec: { model: "offline/echo" } });
    await fleet.apply({ agents: [named] }, { prune: true });
    await waitFor(() => !runs(one), { what: "its sidecar to end" });
    await waitFor(() => fleet.calls.includes("revoke one"), { what: "its key to be revoked" });
    const claims = sql`SELECT agent_id FROM fleet.sidecar_claims`;
    await waitFor(async () => (await store.database.query(claims)).rowCount === 1, { what: "its claim to go" });
    expect(fleet.calls).toContain("drain one");
    expect(runs(two)).toBe(true);
    expect(fleet.calls).not.toContain("revoke two");
    // Its id is free, and its sidecar a new one.
    await add(fleet, "one");
    await nthStart("one", 2);
  });

  it("keeps its claim until its key is revoked", async () => {
    let isBroken = true;
    const revoked: string[] = [];
    const fleet = start({
      leaseMs: 400,
      ports: {
        async revokeSidecars(sidecarIds) {
          if (isBroken) throw new Error("the database is away");
          revoked.push(...sidecarIds);
        },
      },
    });
    await add(fleet, "one");
    const first = await nthStart("one", 1);
    await fleet.apply({}, { prune: true });
    await waitFor(() => fleet.log.records().some(({ msg }) => msg === "sidecar not revoked"), { what: "a try" });
    expect(runs(first)).toBe(false);
    const claims = sql`SELECT FROM fleet.sidecar_claims`;
    expect((await store.database.query(claims)).rowCount).toBe(1);
    isBroken = false;
    await waitFor(async () => (await store.database.query(claims)).rowCount === 0, { what: "its claim to go" });
    expect(revoked).toEqual(["one"]);
  });
});
