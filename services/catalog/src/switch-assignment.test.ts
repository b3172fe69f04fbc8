import type { Change } from "@openhermit/caller";
import { testCaller, testDatabase, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeCatalog, type Catalog, type CatalogClient } from "../test/catalog-harness.ts";
import { putSkill, server } from "../test/sample-items.ts";
import { catalogMigrations } from "./index.ts";

const MANY = Array.from({ length: 20 }, (_, i) => `many-${String(i).padStart(2, "0")}`);
const TEAMS = new Map([
  ["one", "red"],
  ["two", "red"],
  ["three", "blue"],
  ...MANY.map((id): [string, string] => [id, ""]),
]);
/** Ann reaches one and two; five does not exist, and so is in reach of everybody. */
const PEOPLE = {
  ann: testCaller("member:ann", ["one", "two", "five"]),
  bob: testCaller("member:bob", ["three", "five"]),
};

let store: TestDatabase;
let catalog: Catalog;
let client: CatalogClient;
let ann: CatalogClient;
let bob: CatalogClient;

beforeEach(async () => {
  store = await testDatabase([catalogMigrations]);
  catalog = makeCatalog(store.database, { people: PEOPLE, teams: TEAMS });
  ({ client } = catalog);
  [ann, bob] = [catalog.as("ann"), catalog.as("bob")];
});
afterEach(async () => {
  await catalog.catalog.close();
  await store.drop();
});

const said = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "nothing",
    (error: unknown) => (error as Error).message,
  );

/** The same for both kinds of things. */
const KINDS = [
  {
    noun: "MCP server",
    resource: "mcp-servers",
    missing: "MCP_SERVER_NOT_FOUND",
    put: async (by: CatalogClient, id: string, agents: string[], disabledAgents: string[] = []) =>
      (await by.putMcpServer({ mcpServer: server(id, agents, { disabledAgents }) })).mcpServer,
    change: async (by: CatalogClient, id: string, agents: string[], disabledAgents: string[]) => {
      const callTimeout = { seconds: 7n, nanos: 0 };
      await by.putMcpServer({ mcpServer: server(id, agents, { disabledAgents, callTimeout }) });
    },
    get: async (by: CatalogClient, id: string) => (await by.getMcpServer({ mcpServerId: id })).mcpServer,
    async enable(by: CatalogClient, id: string, agentId: string) {
      const { mcpServer, changed } = await by.enableMcpServer({ mcpServerId: id, agentId });
      return { agents: mcpServer?.agents, disabledAgents: mcpServer?.disabledAgents, changed };
    },
    async disable(by: CatalogClient, id: string, agentId: string) {
      const { mcpServer, changed } = await by.disableMcpServer({ mcpServerId: id, agentId });
      return { agents: mcpServer?.agents, disabledAgents: mcpServer?.disabledAgents, changed };
    },
    used: async (agentId: string) =>
      (await catalog.catalog.catalogsFor([agentId])).get(agentId)?.servers.map(({ id }) => id),
  },
  {
    noun: "skill",
    resource: "skills",
    missing: "SKILL_NOT_FOUND",
    put: (by: CatalogClient, id: string, agents: string[], disabledAgents: string[] = []) =>
      putSkill(by, id, agents, { disabledAgents }),
    change: async (by: CatalogClient, id: string, agents: string[], disabledAgents: string[]) => {
      await putSkill(by, id, agents, { disabledAgents, text: "Do it better." });
    },
    get: async (by: CatalogClient, id: string) => (await by.getSkill({ skillId: id })).skill,
    async enable(by: CatalogClient, id: string, agentId: string) {
      const { skill, changed } = await by.enableSkill({ skillId: id, agentId });
      return { agents: skill?.agents, disabledAgents: skill?.disabledAgents, changed };
    },
    async disable(by: CatalogClient, id: string, agentId: string) {
      const { skill, changed } = await by.disableSkill({ skillId: id, agentId });
      return { agents: skill?.agents, disabledAgents: skill?.disabledAgents, changed };
    },
    used: async (agentId: string) =>
      (await catalog.catalog.catalogsFor([agentId])).get(agentId)?.skills.map(({ id }) => id),
  },
];

describe.each(KINDS)("a $noun", ({ resource, missing, put, change, get, enable, disable, used }) => {
  /** Who of some agents gets a new revision by a change. */
  const concerned = async (work: () => Promise<unknown>): Promise<string[]> => {
    const ids = ["one", "two", "three", "never-seen"];
    const before = await catalog.catalog.revisionsFor(ids);
    await work();
    const after = await catalog.catalog.revisionsFor(ids);
    for (const id of ids) expect(after.get(id)).toBeGreaterThanOrEqual(before.get(id) ?? 0n);
    return ids.filter((id) => after.get(id) !== before.get(id));
  };

  it("is given to every agent, and an agent's opt-out survives that it is taken away and given again", async () => {
    await put(client, "files", []);
    expect(await enable(client, "files", "*")).toEqual({ agents: ["*"], disabledAgents: [], changed: true });
    expect(await enable(client, "files", "*")).toMatchObject({ changed: false });
    expect(await used("never-seen")).toEqual(["files"]);

    expect(await disable(client, "files", "two")).toEqual({ agents: ["*"], disabledAgents: ["two"], changed: true });
    expect(await disable(client, "files", "two")).toMatchObject({ changed: false });
    expect([await used("one"), await used("two")]).toEqual([["files"], []]);

    expect(await disable(client, "files", "*")).toEqual({ agents: [], disabledAgents: ["two"], changed: true });
    expect(await disable(client, "files", "*")).toMatchObject({ changed: false });
    expect(await used("one")).toEqual([]);
    await enable(client, "files", "*");
    expect([await used("one"), await used("two")]).toEqual([["files"], []]);

    expect(await enable(client, "files", "two")).toEqual({ agents: ["*", "two"], disabledAgents: [], changed: true });
    await disable(client, "files", "*");
    expect([await used("one"), await used("two")]).toEqual([[], ["files"]]);
    // Without a row of `*` there is nothing to opt out of: the own row goes.
    expect(await disable(client, "files", "two")).toEqual({ agents: [], disabledAgents: [], changed: true });
    expect(await disable(client, "files", "two")).toMatchObject({ changed: false });
  });

  it("gives a new revision to those whom a change concerns", async () => {
    await put(client, "files", ["one"]);
    expect(await concerned(() => enable(client, "files", "two"))).toEqual(["two"]);
    expect(await concerned(() => disable(client, "files", "two"))).toEqual(["two"]);
    const all = ["one", "two", "three", "never-seen"];
    expect(await concerned(() => enable(client, "files", "*"))).toEqual(all);
    expect(await concerned(() => disable(client, "files", "three"))).toEqual(["three"]);
    expect(await concerned(() => disable(client, "files", "three"))).toEqual([]);
    // It has the thing anyway: a row of its own changes nothing for it now.
    expect(await concerned(() => enable(client, "files", "two"))).toEqual([]);
    expect(await concerned(() => put(client, "files", ["*", "one"], ["three", "two"]))).toEqual(["two"]);
    expect(await concerned(() => change(client, "files", ["*", "one"], ["three", "two"]))).toEqual(all);
    expect(await concerned(() => disable(client, "files", "*"))).toEqual(all);
    // An opt-out of what nobody has concerns nobody.
    expect(await concerned(() => change(client, "files", ["one"], ["two"]))).toEqual([]);
    expect(await concerned(() => enable(client, "files", "three"))).toEqual(["three"]);
  });

  it("counts every one of many agents that get it and lose it at once", async () => {
    await put(client, "files", ["one"]);
    const answers = await Promise.all(MANY.map((id) => enable(client, "files", id)));
    expect(answers.every(({ changed }) => changed)).toBe(true);
    expect((await get(client, "files"))?.agents).toEqual([...MANY, "one"].toSorted());
    // While `*` comes and goes.
    await Promise.all([
      ...MANY.slice(0, 10).map((id) => disable(client, "files", id)),
      ...MANY.slice(10).map((id) => enable(client, "files", id)),
      enable(client, "files", "*"),
      disable(client, "files", "two"),
      enable(client, "files", "*"),
    ]);
    const stored = await get(client, "files");
    expect(stored?.agents).toEqual(["*", ...MANY.slice(10), "one"]);
    const users = await Promise.all([...MANY, "one"].map(used));
    const all = users.map((ids) => ids?.length);
    // Who lost its row before `*` came has it through `*`; who lost it after has opted out.
    expect(all).toEqual([...MANY, "one"].map((id) => (stored?.disabledAgents.includes(id) === true ? 0 : 1)));
  });

  it("changes its etag with its assignment, so that no opt-out is lost to an older view", async () => {
    const first = await put(client, "files", ["*"]);
    await disable(client, "files", "one");
    const again =
      resource === "skills"
        ? putSkill(client, "files", ["*"], { etag: first?.etag ?? "" })
        : client.putMcpServer({ mcpServer: server("files", ["*"], { etag: first?.etag ?? "" }) });
    expect(await said(again)).toContain("_CHANGED");
    expect((await get(client, "files"))?.disabledAgents).toEqual(["one"]);
  });

  it("is given and taken by who reaches that agent, also when others use it", async () => {
    await put(client, "shared", ["one", "three"]);
    expect(await enable(ann, "shared", "two")).toEqual({ agents: ["one", "two"], disabledAgents: [], changed: true });
    expect(await disable(ann, "shared", "one")).toEqual({ agents: ["two"], disabledAgents: [], changed: true });
    expect((await get(client, "shared"))?.agents).toEqual(["three", "two"]);
    await put(client, "all", ["*"]);
    expect(await disable(ann, "all", "one")).toEqual({ agents: ["*"], disabledAgents: ["one"], changed: true });
    expect(await enable(ann, "all", "one")).toEqual({ agents: ["*", "one"], disabledAgents: [], changed: true });
  });

  it("is not switched for agents out of reach, unknown ones, or every agent by who does not reach all", async () => {
    await put(client, "shared", ["one", "three"]);
    await put(client, "theirs", ["three"]);
    await put(client, "nobodys", []);
    const before = [await get(client, "shared"), await get(client, "theirs"), await get(client, "nobodys")];
    for (const act of [enable, disable]) {
      const unknown = await said(act(ann, "shared", "nowhere"));
      expect(unknown).toContain('AGENT_NOT_FOUND agent "nowhere"');
      for (const id of ["three", "five"]) {
        expect((await said(act(ann, "shared", id))).replace(id, "nowhere")).toBe(unknown);
      }
      expect(await said(act(client, "shared", "nowhere"))).toBe(unknown);
      expect(await said(act(ann, "nobodys", "*"))).toContain("RIGHT_MISSING");
      expect(await said(act(ann, "theirs", "one"))).toBe(
        (await said(act(ann, "never-was", "one"))).replace("never-was", "theirs"),
      );
      expect(await said(act(ann, "theirs", "one"))).toContain(missing);
    }
    expect([await get(client, "shared"), await get(client, "theirs"), await get(client, "nobodys")]).toEqual(before);
    expect(catalog.trail.filter(({ action }) => /enable|disable/.test(action))).toEqual([]);
  });

  it("never tells of an agent out of reach, neither that uses it nor that does not", async () => {
    await put(client, "all", ["*", "one"], ["three", "two"]);
    await put(client, "noted", ["one"], ["three"]);
    for (const [by, mine, others] of [
      [ann, ["one", "two"], ["three"]],
      [bob, ["three"], ["one", "two"]],
    ] as const) {
      const answers = [
        await get(by, "all"),
        await get(by, "noted"),
        await enable(by, "all", mine[0]),
        await disable(by, "all", mine[0]),
        await by.listMcpServers({}),
        await by.listSkills({}),
      ];
      const text = JSON.stringify(answers, (_, value: unknown) => (typeof value === "bigint" ? "" : value));
      for (const id of others) expect(text).not.toContain(`"${id}"`);
      for (const id of mine) expect(text).toContain(`"${id}"`);
    }
    expect((await get(client, "all"))?.disabledAgents).toEqual(["one", "three", "two"]);
    // Nor is an opt-out that cannot be seen lost to who replaces all the rest, or confirmed to who guesses it.
    for (const disabledAgents of [[], ["three"]]) {
      expect(await said(put(ann, "noted", ["one"], disabledAgents))).toMatch(/RIGHT_MISSING|AGENT_NOT_FOUND/);
    }
    expect((await said(put(ann, "noted", ["one"], ["three"]))).replace("three", "nowhere")).toBe(
      await said(put(ann, "noted", ["one"], ["nowhere"])),
    );
  });

  it("is recorded with who gained or lost it", async () => {
    await put(client, "files", ["one"]);
    catalog.trail.length = 0;
    await enable(client, "files", "*");
    await enable(client, "files", "*");
    await disable(ann, "files", "two");
    await disable(ann, "files", "two");
    const brief = ({ by, action, targetType, targetId, fields }: Change & { by: string }) =>
      [by, action, targetType, targetId, ...(fields ?? []).map((one) => `${one.path} ${one.before}>${one.after}`)].join(
        " ",
      );
    const type = resource === "skills" ? "skill" : "mcp-server";
    expect(catalog.trail.map(brief)).toEqual([
      `local-operator ${resource}.enable ${type} files agents ["one"]>["*","one"]`,
      `ann ${resource}.disable ${type} files disabledAgents >["two"]`,
    ]);
  });

  it("names at most a thousand agents one by one", async () => {
    const thousand = Array.from({ length: 1000 }, (_, i) => `agent-${i}`);
    await put(client, "files", thousand);
    expect(await said(enable(client, "files", "one"))).toContain("ASSIGNMENTS_LIMITED");
    expect(await said(enable(client, "files", "*"))).toContain("ASSIGNMENTS_LIMITED");
    expect((await get(client, "files"))?.agents).toHaveLength(1000);
    expect(await said(put(client, "both", ["one"], ["one"]))).toContain("ASSIGNMENT_CONTRADICTORY");
  });

  it("goes from the agents that are deleted, whichever way they had it, and from no others", async () => {
    await put(client, "files", ["one", "two"]);
    const first = await put(client, "all", ["*", "one"], ["two", "three"]);
    const statements = store.database.statementCount();
    const who = await concerned(() =>
      store.database.transaction((tx) => catalog.catalog.forgetAgents(tx, ["one", "two", "never-was"])),
    );
    // BEGIN, lock, rows, revisions, COMMIT; and the two that looked at revisions.
    expect(store.database.statementCount() - statements).toBe(7);
    expect(who).toEqual(["one", "two"]);
    expect(await get(client, "files")).toMatchObject({ agents: [], disabledAgents: [] });
    expect(await get(client, "all")).toMatchObject({ agents: ["*"], disabledAgents: ["three"] });
    expect((await get(client, "all"))?.etag).not.toBe(first?.etag);
    expect([await used("two"), await used("three")]).toEqual([["all"], []]);
  });
});
