import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { sql } from "@openhermit/postgres";
import { AgentSchema, Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFleet, type Fleet } from "../test/fleet-harness.ts";
import type { Person } from "../test/test-people.ts";
import { fleetMigrations } from "./index.ts";

const PEOPLE: Record<string, Person> = {
  ann: { teams: ["red"] },
  bob: { teams: ["blue"] },
  eve: { teams: ["red", "blue"] },
  gus: { isViewer: true, grants: ["one"] },
};
const TEAMS = ["red", "blue"];
const spec = { model: "offline/echo" };

let store: TestDatabase;
let fleet: Fleet;
let ann: Fleet["client"];
let bob: Fleet["client"];

beforeEach(async () => {
  store = await testDatabase([fleetMigrations]);
  fleet = makeFleet({ database: store.database, people: PEOPLE, teams: TEAMS });
  ann = fleet.as("ann");
  bob = fleet.as("bob");
});
afterEach(async () => {
  await fleet.fleet.close();
  await store.drop();
});

const add = async (client: Fleet["client"], id: string, team = "", requestId = ""): Promise<void> => {
  await client.createAgent({ agent: { id, spec, team }, requestId });
};
const move = (client: Fleet["client"], id: string, team: string) =>
  client.updateAgent({ agent: { id, team }, updateMask: { paths: ["team"] } });
const listed = async (client: Fleet["client"]): Promise<string[]> =>
  (await client.listAgents({})).agents.map(({ id }) => id);
/** The words of the error that a call ends with. */
const said = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "nothing",
    (error: unknown) => (error as Error).message,
  );

describe("the team of an agent", () => {
  it("is given by its members and by admins, and told", async () => {
    await add(ann, "one", "red");
    expect((await ann.getAgent({ agentId: "one" })).agent?.team).toBe("red");
    expect(fleet.fleet.teamOfAgent("one")).toBe("red");
    await expect(add(ann, "two", "blue")).rejects.toThrow("TEAM_NOT_YOURS");
    // Who may not is not told that there is no such team.
    await expect(add(ann, "two", "green")).rejects.toThrow("TEAM_NOT_YOURS");
    await expect(add(fleet.client, "two", "green")).rejects.toThrow("TEAM_NOT_FOUND");
    await add(fleet.client, "two", "blue");
    expect(await listed(fleet.client)).toEqual(["one", "two"]);
  });

  it("changes only by hands that are in both teams", async () => {
    await add(ann, "one", "red");
    await expect(move(ann, "one", "blue")).rejects.toThrow("TEAM_NOT_YOURS");
    await expect(move(bob, "one", "blue")).rejects.toThrow("AGENT_NOT_FOUND");
    await move(fleet.as("eve"), "one", "blue");
    expect(fleet.fleet.teamOfAgent("one")).toBe("blue");
    // A grant lifts nobody into a team.
    await expect(move(fleet.as("gus"), "one", "")).rejects.toThrow("TEAM_NOT_YOURS");
    await move(bob, "one", "");
    // Everybody's agent is nobody's to take.
    await expect(move(ann, "one", "red")).rejects.toThrow("TEAM_NOT_YOURS");
    await move(fleet.client, "one", "red");
    await expect(move(fleet.client, "one", "green")).rejects.toThrow("TEAM_NOT_FOUND");
    expect((await fleet.agent("one")).team).toBe("red");
  });

  it("stays with an update that does not speak of it, and gives no new snapshot", async () => {
    await add(ann, "one", "red");
    await ann.updateAgent({ agent: { id: "one", spec, displayName: "First" } });
    const before = await fleet.agent("one");
    expect(before.team).toBe("red");
    await fleet.as("eve").updateAgent({ agent: { id: "one", spec, displayName: "First", team: "blue" } });
    const after = await fleet.agent("one");
    expect(after.team).toBe("blue");
    expect(after.status?.desiredGeneration).toBe(before.status?.desiredGeneration);
    expect(after.etag).not.toBe(before.etag);
  });
});

describe("an agent of another team", () => {
  it("is answered like one that does not exist, by every method, and not changed", async () => {
    await add(ann, "one", "red");
    const before = await fleet.agent("one");
    const calls: ((agentId: string) => Promise<unknown>)[] = [
      (agentId) => bob.getAgent({ agentId }),
      (agentId) => bob.updateAgent({ agent: { id: agentId, displayName: "Mine" }, updateMask: { paths: ["team"] } }),
      (agentId) => bob.updateAgent({ agent: { id: agentId, etag: "x" } }),
      (agentId) => bob.startAgent({ agentId }),
      (agentId) => bob.stopAgent({ agentId }),
      (agentId) => bob.restartAgent({ agentId }),
      (agentId) => bob.deleteAgent({ agentId }),
      (agentId) => bob.deleteAgent({ agentId, etag: "x" }),
    ];
    for (const call of calls) expect(await said(call("one"))).toBe(await said(call("two")));
    expect(await said(bob.getAgent({ agentId: "one" }))).toContain("AGENT_NOT_FOUND");
    expect(await fleet.agent("one")).toEqual(before);
    const reach = { all: false, has: (_: string, owner?: string) => owner === "blue", ids: () => [] };
    await expect(fleet.fleet.mayJoinExternally(["one"], reach)).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
  });

  it("is left out of lists, whose pages stay full", async () => {
    for (const id of ["a", "c", "e"]) await add(bob, id, "blue");
    for (const id of ["b", "d"]) await add(ann, id, "red");
    await add(fleet.client, "f");
    expect(await listed(ann)).toEqual(["b", "d", "f"]);
    expect(await listed(bob)).toEqual(["a", "c", "e", "f"]);
    const first = await ann.listAgents({ pageSize: 2 });
    expect(first.agents.map(({ id }) => id)).toEqual(["b", "d"]);
    const second = await ann.listAgents({ pageSize: 2, pageToken: first.nextPageToken });
    expect([second.agents.map(({ id }) => id), second.nextPageToken]).toEqual([["f"], ""]);
    // No page says where hidden agents stand.
    expect((await bob.listAgents({ pageSize: 4 })).nextPageToken).toBe("");
  });

  it("holds its id, as any id in use", async () => {
    await add(ann, "one", "red");
    await add(ann, "own", "red");
    await expect(add(bob, "one", "blue")).rejects.toThrow("AGENT_EXISTS");
    expect(await said(add(bob, "one"))).toBe(await said(add(ann, "own")));
    await add(ann, "two", "red", "r1");
    await expect(add(bob, "two", "", "r1")).rejects.toThrow("AGENT_EXISTS");
    const reused = await said(add(bob, "three", "", "r1"));
    expect(reused).toContain("REQUEST_ID_REUSED");
  });

  it("can't be had by its id when it is deleted, nor by a grant alone", async () => {
    await add(ann, "one", "red");
    await ann.deleteAgent({ agentId: "one" });
    expect(fleet.fleet.teamOfAgent("one")).toBe("red");
    expect([fleet.fleet.knownAgentIds(), fleet.fleet.ownedAgentIds()]).toEqual([[], ["one"]]);
    await expect(add(bob, "one", "blue")).rejects.toThrow("AGENT_EXISTS");
    await expect(add(bob, "one")).rejects.toThrow("AGENT_EXISTS");
    await expect(add(fleet.as("gus"), "one")).rejects.toThrow("TEAM_NOT_YOURS");
    expect(await listed(fleet.client)).toEqual([]);
    await add(fleet.as("eve"), "one", "blue");
    expect(fleet.fleet.teamOfAgent("one")).toBe("blue");
    const { rowCount } = await store.database.query(sql`SELECT FROM fleet.retired_agents`);
    expect(rowCount).toBe(0);
  });

  it("leaves its id to everybody when nobody owned it", async () => {
    await add(bob, "one");
    await ann.deleteAgent({ agentId: "one" });
    expect(fleet.fleet.teamOfAgent("one")).toBeUndefined();
    await add(ann, "one", "red");
  });
});

it("lets nobody add an agent for whom it would be out of reach", async () => {
  await expect(add(fleet.as("gus"), "two")).rejects.toThrow("RIGHT_MISSING");
  expect(await listed(fleet.client)).toEqual([]);
});

describe("two gateways", () => {
  it("agree on a move that one of them has not heard of", async () => {
    const other = makeFleet({ database: store.database, people: PEOPLE, teams: TEAMS });
    await add(ann, "one", "red");
    await other.fleet.agentsRead();
    await move(fleet.client, "one", "blue");
    // The other gateway does not listen, so its memory is old.
    expect(other.fleet.teamOfAgent("one")).toBe("red");
    const there = other.as("ann");
    await expect(there.getAgent({ agentId: "one" })).rejects.toThrow("AGENT_NOT_FOUND");
    await expect(there.stopAgent({ agentId: "one" })).rejects.toThrow("AGENT_NOT_FOUND");
    await expect(move(there, "one", "red")).rejects.toThrow("AGENT_NOT_FOUND");
    expect(await listed(there)).toEqual([]);
    other.fleet.start();
    await waitFor(() => other.fleet.teamOfAgent("one") === "blue", { what: "the move to be known" });
    expect(await listed(other.as("bob"))).toEqual(["one"]);
    await other.fleet.close();
  });

  it("move one agent at once, and each move is judged by where the agent is then", async () => {
    const other = makeFleet({ database: store.database, people: PEOPLE, teams: TEAMS });
    await add(ann, "one", "red");
    const answers = await Promise.all([said(move(ann, "one", "")), said(move(other.as("eve"), "one", "blue"))]);
    // The second to come finds the agent in a team that is not its own, or to be everybody's.
    expect(answers.filter((answer) => answer === "nothing")).toHaveLength(1);
    expect(answers.join()).toMatch(answers[0] === "nothing" ? /TEAM_NOT_YOURS/ : /AGENT_NOT_FOUND/);
    const { team } = await fleet.agent("one");
    expect(team).toBe(answers[0] === "nothing" ? "" : "blue");
    await other.fleet.close();
  });

  it("end a delete that began before the agent was moved", async () => {
    const other = makeFleet({ database: store.database, people: PEOPLE, teams: TEAMS });
    await ann.createAgent({ agent: { id: "one", team: "red", spec: { ...spec, launcher: Launcher.EXTERNAL } } });
    await store.database.query(
      sql`INSERT INTO fleet.sidecar_claims (agent_id, gateway_id, marker) VALUES ('one', 'g', 'm')`,
    );
    const deleting = said(ann.deleteAgent({ agentId: "one" }));
    await waitFor(async () => (await fleet.agent("one")).desiredState === 2, { what: "the agent to be stopped" });
    await move(other.client, "one", "blue");
    await store.database.query(sql`DELETE FROM fleet.sidecar_claims`);
    expect(await deleting).toContain("AGENT_NOT_FOUND");
    expect((await fleet.agent("one")).team).toBe("blue");
    await other.fleet.close();
  });
});

describe("a manifest of a member", () => {
  type Init = Omit<MessageInitShape<typeof AgentSchema>, "$typeName">;
  const apply = async (name: string, agents: Init[], dryRun = false) => {
    const messages = agents.map((agent) => create(AgentSchema, { spec, ...agent }));
    const mayWrite = (_: string, id: string) => id !== "unwritable";
    return (await fleet.apply({ agents: messages }, { dryRun, caller: fleet.caller(name), mayWrite })).agents;
  };
  const actions = async (...args: Parameters<typeof apply>) =>
    (await apply(...args)).map(({ id, action, fields }) => `${id} ${action} ${fields.length}`);

  it("takes no agent of another team, deleted ones neither, and tells nothing of them", async () => {
    await add(bob, "one", "blue");
    await add(bob, "gone", "blue");
    await bob.deleteAgent({ agentId: "gone" });
    for (const dryRun of [true, false]) {
      const agents = [
        { id: "one", team: "red" },
        { id: "gone" },
        { id: "new", team: "blue" },
        { id: "same", team: "red" },
      ];
      expect(await actions("ann", agents, dryRun)).toEqual([
        "one refused 0",
        "gone refused 0",
        "new refused 0",
        "same create 4",
      ]);
    }
    expect((await fleet.agent("one")).team).toBe("blue");
  });

  it("deletes with a prune what is in reach and no more, and nothing that it may not write", async () => {
    await add(ann, "one", "red");
    await add(bob, "two", "blue");
    await add(ann, "three");
    const prune = async (mayWrite: (resource: string, id: string) => boolean) =>
      (await fleet.apply({}, { prune: true, caller: fleet.caller("ann"), mayWrite })).agents.map(
        ({ id, action }) => `${id} ${action}`,
      );
    expect(await prune((_, id) => id !== "three")).toEqual(["one delete", "three refused"]);
    expect(await listed(fleet.client)).toEqual(["one", "three", "two"]);
    expect(await prune(() => true)).toEqual(["one delete", "three delete"]);
    expect(await listed(fleet.client)).toEqual(["two"]);
    // What it left behind stays with its team.
    await fleet.fleet.agentsRead();
    expect(fleet.fleet.teamOfAgent("one")).toBe("red");
    await expect(add(bob, "one")).rejects.toThrow("AGENT_EXISTS");
  });

  it("needs the right to write each agent it changes, and none for one that is so already", async () => {
    expect(await actions("ann", [{ id: "unwritable" }, { id: "new" }], true)).toEqual([
      "unwritable refused 0",
      "new create 3",
    ]);
    await add(ann, "unwritable");
    expect(await actions("ann", [{ id: "unwritable" }])).toEqual(["unwritable none 0"]);
    expect(await actions("ann", [{ id: "unwritable", displayName: "Mine" }])).toEqual(["unwritable refused 0"]);
  });

  it("leaves the team as it is when it does not name one, and moves the agent when it may", async () => {
    await add(ann, "one", "red");
    expect(await actions("ann", [{ id: "one", displayName: "one" }])).toEqual(["one none 0"]);
    expect(await actions("ann", [{ id: "one", team: "blue" }])).toEqual(["one refused 0"]);
    const { etag } = await fleet.agent("one");
    const fields = [{ path: "team", before: "red", after: "blue", sensitive: false }];
    expect(await apply("eve", [{ id: "one", team: "blue" }])).toEqual([
      { id: "one", action: "update", fields, version: etag },
    ]);
  });
});
