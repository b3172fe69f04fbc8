import type { Change } from "@openhermit/caller";
import { create } from "@bufbuild/protobuf";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { sql } from "@openhermit/postgres";
import { SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { testCaller, testDatabase, waitFor, type TestCaller, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeCatalog, type Catalog, type CatalogClient } from "../test/catalog-harness.ts";
import { digestOf, putSkill, server, skillFiles } from "../test/sample-items.ts";
import { catalogMigrations, type ApplyOptions, type ResourceChange } from "./index.ts";

const NOTHING = { mcpServers: [], skills: [], hiddenServerIds: [] };
const TEAMS = new Map([
  ["one", "red"],
  ["two", "red"],
  ["three", "blue"],
]);
const ANN = testCaller("member:ann", ["one", "two"]);

let store: TestDatabase;
let catalog: Catalog;
let client: CatalogClient;
const recorded: Change[] = [];

beforeEach(async () => {
  store = await testDatabase([catalogMigrations]);
  catalog = makeCatalog(store.database, { people: { ann: ANN }, teams: TEAMS });
  ({ client } = catalog);
  recorded.length = 0;
});
afterEach(async () => {
  await catalog.catalog.close();
  await store.drop();
});

const skill = (id: string, agents: string[], rest: { text?: string; disabledAgents?: string[] } = {}): Skill =>
  create(SkillSchema, { id, agents, digest: digestOf(id, rest.text), disabledAgents: rest.disabledAgents ?? [] });
const upload = (id: string, text?: string) => client.putBundle({ bundle: { files: skillFiles(id, text) } });
const options = (rest: Partial<ApplyOptions> = {}): ApplyOptions => ({
  dryRun: false,
  prune: false,
  caller: testCaller(),
  mayWrite: () => true,
  record: async (_, changes) => void recorded.push(...changes),
  ...rest,
});
const apply = (wanted: { mcpServers?: McpServer[]; skills?: Skill[] }, rest: Partial<ApplyOptions> = {}) =>
  store.database.transaction((tx) =>
    catalog.catalog.applyCatalog(tx, { mcpServers: [], skills: [], ...wanted }, options(rest)),
  );
const exported = (caller: TestCaller = testCaller()) =>
  store.database.transaction((tx) => catalog.catalog.exportCatalog(tx, caller.agents));
const brief = (changes: readonly ResourceChange[]): string[] =>
  changes.map(({ id, action, fields }) => [action, id, ...fields.map(({ path }) => path)].join(" "));
const etagOf = async (id: string) => (await client.getMcpServer({ mcpServerId: id })).mcpServer?.etag;

describe("what an apply tells and does", () => {
  it("is the same in a dry run, field by field and without secrets, and only the apply does it", async () => {
    const both = async (mcpServers: McpServer[]) => {
      const state = await exported();
      recorded.length = 0;
      const planned = await apply({ mcpServers }, { dryRun: true });
      expect([await exported(), recorded]).toEqual([state, []]);
      const done = await apply({ mcpServers });
      expect(done).toEqual(planned);
      expect(JSON.stringify([done, recorded])).not.toContain("hush");
      return done.mcpServers;
    };
    expect(await both([server("files", ["*"])])).toEqual([
      {
        id: "files",
        action: "create",
        version: "",
        fields: [
          { path: "command", before: "", after: "node", sensitive: false },
          { path: "args", before: "", after: '["server.js"]', sensitive: false },
          { path: "env.API_KEY", before: "", after: "(sensitive)", sensitive: true },
          { path: "agents", before: "", after: "*", sensitive: false },
        ],
      },
    ]);
    const first = await etagOf("files");
    expect(await both([server("files", ["*"])])).toEqual([{ id: "files", action: "none", fields: [], version: first }]);
    expect(recorded).toEqual([]);
    const next = server("files", ["one", "two"], {
      transport: { case: "stdio", value: { command: "node", args: ["other.js"], env: { API_KEY: "hush-2" } } },
      callTimeout: { seconds: 90n, nanos: 0 },
      disabledAgents: ["three"],
    });
    const fields = [
      { path: "args", before: '["server.js"]', after: '["other.js"]', sensitive: false },
      { path: "env.API_KEY", before: "(sensitive)", after: "(sensitive)", sensitive: true },
      { path: "agents", before: "*", after: '["one","two"]', sensitive: false },
      { path: "disabledAgents", before: "", after: '["three"]', sensitive: false },
      { path: "callTimeout", before: "", after: "90s", sensitive: false },
    ];
    expect(await both([next])).toEqual([{ id: "files", action: "update", fields, version: first }]);
    expect(recorded).toEqual([
      {
        action: "mcp-servers.put",
        targetType: "mcp-server",
        targetId: "files",
        fields: fields.map(({ path, before, after }) => ({ path, before, after })),
      },
    ]);
  });

  it("speaks of skills by their digests, which a dry run need not find", async () => {
    const wanted = { skills: [skill("pdf", ["*"], { disabledAgents: ["two"] })] };
    const create1 = ["create pdf digest agents disabledAgents"];
    expect(brief((await apply(wanted, { dryRun: true })).skills)).toEqual(create1);
    await expect(apply(wanted)).rejects.toMatchObject({
      code: "failed_precondition",
      reason: "BUNDLE_MISSING",
      fields: { skill_id: "pdf", digest: digestOf("pdf") },
    });
    await upload("pdf");
    expect(brief((await apply(wanted)).skills)).toEqual(create1);
    expect(brief((await apply(wanted)).skills)).toEqual(["none pdf"]);
    await upload("pdf", "Better.");
    const { skills } = await apply({ skills: [skill("pdf", ["*"], { text: "Better." })] });
    expect(skills[0]?.fields).toEqual([
      { path: "digest", before: digestOf("pdf"), after: digestOf("pdf", "Better."), sensitive: false },
      { path: "disabledAgents", before: '["two"]', after: "", sensitive: false },
    ]);
    expect(recorded.map(({ action, targetId }) => `${action} ${targetId}`)).toEqual([
      "skills.put pdf",
      "skills.put pdf",
    ]);
    for (const dryRun of [true, false]) {
      const stolen = create(SkillSchema, { id: "word", digest: digestOf("pdf") });
      await expect(apply({ skills: [stolen] }, { dryRun })).rejects.toMatchObject({ reason: "SKILL_NAME_DIFFERS" });
    }
  });

  it("reaches the agents it concerns, and is all undone when the transaction is", async () => {
    await upload("pdf");
    const wanted = { mcpServers: [server("files", ["one"])], skills: [skill("pdf", ["two"])] };
    const revisions = () => catalog.catalog.revisionsFor(["one", "two", "three"]);
    const before = await revisions();
    const undone = store.database.transaction(async (tx) => {
      await catalog.catalog.applyCatalog(tx, wanted, options());
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
    expect([await exported(), await revisions()]).toEqual([NOTHING, before]);
    await apply(wanted);
    const after = await revisions();
    expect([...after].filter(([id, revision]) => revision !== before.get(id)).map(([id]) => id)).toEqual([
      "one",
      "two",
    ]);
  });

  it("takes as many statements for a thousand things as for one", async () => {
    const digestAt = (i: number): string => `sha256:${String(i).padStart(64, "0")}`;
    const many = (count: number, timeout = 5n) => ({
      mcpServers: Array.from({ length: count }, (_, i) =>
        server(`server-${i}`, ["*", `agent-${i}`], {
          disabledAgents: [`other-${i}`],
          callTimeout: { seconds: timeout, nanos: 0 },
        }),
      ),
      skills: Array.from({ length: count }, (_, i) =>
        create(SkillSchema, { id: `skill-${i}`, digest: digestAt(i), agents: ["*"], disabledAgents: [`other-${i}`] }),
      ),
    });
    await store.database.query(sql`
      INSERT INTO catalog.bundles (digest, data, description, size_bytes, file_count)
      SELECT digest, '', jsonb_build_object('name', 'skill-' || i, 'description', 'x'), 0, 1
      FROM unnest(${Array.from({ length: 1000 }, (_, i) => digestAt(i))}::text[]) WITH ORDINALITY AS d (digest, n),
        LATERAL (SELECT n - 1 AS i) AS numbered`);
    const counted = async (work: () => Promise<unknown>): Promise<number> => {
      const before = store.database.statementCount();
      await work();
      return store.database.statementCount() - before;
    };
    const counts = async (count: number): Promise<number[]> => [
      await counted(() => apply(many(count), { dryRun: true })),
      await counted(() => apply(many(count))),
      await counted(() => apply(many(count, 6n))),
      await counted(() => apply(many(count, 6n))),
      await counted(() => apply(many(count, 6n), { caller: ANN, dryRun: true })),
      await counted(() => apply({}, { prune: true })),
    ];
    const one = await counts(1);
    expect(await counts(1000)).toEqual(one);
    expect(Math.max(...one)).toBeLessThanOrEqual(16);
    expect(await exported()).toEqual(NOTHING);
    for (const action of ["mcp-servers.delete", "skills.delete"]) {
      expect(recorded.filter((change) => change.action === action)).toHaveLength(1001);
    }
  });

  it("waits for another one and then finds what that did, and a plan waits for nobody", async () => {
    let second: ReturnType<typeof apply> | undefined;
    await store.database.transaction(async (tx) => {
      await catalog.catalog.applyCatalog(tx, { mcpServers: [server("first", [])], skills: [] }, options());
      second = apply({ mcpServers: [server("first", [])] });
      const waits = sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      await waitFor(async () => (await store.database.query(waits)).rowCount > 0, { what: "the second to wait" });
      expect(brief((await apply({ mcpServers: [server("second", [])] }, { dryRun: true })).mcpServers)).toHaveLength(1);
    });
    expect(brief((await second)?.mcpServers ?? [])).toEqual(["none first"]);
  });
});

describe("prune", () => {
  it("deletes what is not named, after the rest and by id", async () => {
    await apply({ mcpServers: ["c", "b", "a", "d"].map((id) => server(id, ["one"])) });
    await putSkill(client, "pdf", ["*"], { disabledAgents: ["one"] });
    const wanted = { mcpServers: [server("z", []), server("d", ["one"]), server("b", [])] };
    const planned = await apply(wanted, { prune: true, dryRun: true });
    const versions = await Promise.all(["a", "b", "c", "d"].map(etagOf));
    recorded.length = 0;
    const done = await apply(wanted, { prune: true });
    expect(done).toEqual(planned);
    expect(brief(done.mcpServers)).toEqual([
      "create z command args env.API_KEY",
      "none d",
      "update b agents",
      "delete a command args env.API_KEY agents",
      "delete c command args env.API_KEY agents",
    ]);
    expect(done.mcpServers.map(({ version }) => version)).toEqual([
      "",
      versions[3],
      versions[1],
      versions[0],
      versions[2],
    ]);
    expect(done.mcpServers[3]?.fields.slice(-2)).toEqual([
      { path: "env.API_KEY", before: "(sensitive)", after: "", sensitive: true },
      { path: "agents", before: '["one"]', after: "", sensitive: false },
    ]);
    expect(brief(done.skills)).toEqual(["delete pdf digest agents disabledAgents"]);
    expect(recorded.map(({ action, targetId }) => `${action} ${targetId}`)).toEqual([
      "mcp-servers.put z",
      "mcp-servers.put b",
      "mcp-servers.delete a",
      "mcp-servers.delete c",
      "skills.delete pdf",
    ]);
    const left = await exported();
    expect([left.mcpServers.map(({ id }) => id), left.skills]).toEqual([["b", "d", "z"], []]);
    expect(await apply({}, { prune: false })).toEqual({ mcpServers: [], skills: [] });
  });

  it("leaves what others use too, and refuses what the caller has no right to change", async () => {
    await apply({
      mcpServers: [
        server("every", ["*"]),
        server("locked", ["one"]),
        server("mine", ["one", "two"]),
        server("noted", ["one"], { disabledAgents: ["three"] }),
        server("shared", ["one", "three"]),
        server("theirs", ["three"]),
      ],
    });
    await putSkill(client, "mine-too", ["one"], { disabledAgents: ["two"] });
    await putSkill(client, "theirs", ["one"], { disabledAgents: ["three"] });
    const before = await exported();
    const ann = { caller: ANN, mayWrite: (_: string, id: string) => id !== "locked", prune: true };
    const { mcpServers, skills } = await apply({}, { ...ann, dryRun: true });
    expect(mcpServers.map(({ id, action, version }) => [id, action, version === ""])).toEqual([
      ["locked", "refused", true],
      ["mine", "delete", false],
    ]);
    expect(brief(skills)).toEqual(["delete mine-too digest agents disabledAgents"]);
    expect(await exported()).toEqual(before);
    const compared = await apply({}, { ...ann, mayWrite: () => true, dryRun: true, compareOnly: true });
    expect(compared.mcpServers.map(({ id, action }) => `${action} ${id}`)).toEqual([
      "refused every",
      "delete locked",
      "delete mine",
    ]);
    const kept = before.mcpServers.find(({ id }) => id === "locked") as McpServer;
    expect(brief((await apply({ mcpServers: [kept] }, ann)).mcpServers)).toEqual([
      "none locked",
      "delete mine command args env.API_KEY agents",
    ]);
    expect((await exported()).mcpServers).toEqual(before.mcpServers.filter(({ id }) => id !== "mine"));
  });
});

describe("the export", () => {
  it("applied to an empty catalogue gives the same, both ways", async () => {
    await apply({
      mcpServers: [
        server("b", ["*", "one"], { disabledAgents: ["two"], connectTimeout: { seconds: 1n, nanos: 500_000_000 } }),
        server("a", [], {
          transport: { case: "http", value: { url: "https://x.example/?key=1", headers: { a: "b" } } },
        }),
      ],
    });
    await putSkill(client, "pdf", ["one"], { disabledAgents: ["three"] });
    const all = await exported();
    expect(all.mcpServers.map(({ id }) => id)).toEqual(["a", "b"]);
    const same = await apply(all, { prune: true });
    expect([...brief(same.mcpServers), ...brief(same.skills)]).toEqual(["none a", "none b", "none pdf"]);
    const empty = await testDatabase([catalogMigrations]);
    const other = makeCatalog(empty.database);
    try {
      await other.client.putBundle({ bundle: { files: skillFiles("pdf") } });
      await empty.database.transaction((tx) => other.catalog.applyCatalog(tx, all, options()));
      expect(await empty.database.transaction((tx) => other.catalog.exportCatalog(tx, testCaller().agents))).toEqual(
        all,
      );
    } finally {
      await other.catalog.close();
      await empty.drop();
    }
  });

  it("has of agents out of reach nothing, and of values that may be secret only those the caller may see", async () => {
    const env = (value: Record<string, string>) => ({
      transport: { case: "stdio" as const, value: { command: "node", env: value } },
    });
    const reference = { A: "${secret.A_KEY}" };
    await apply({
      mcpServers: [
        server("every", ["*"]),
        server("every-open", ["*", "one"], { ...env(reference), disabledAgents: ["three", "two"] }),
        server("mine", ["one"]),
        server("nobodys", []),
        server("noted", ["one"], { disabledAgents: ["three"] }),
        server("shared", ["one", "three"], env({})),
        server("theirs", ["three"], env({})),
      ],
    });
    await putSkill(client, "shared", ["two", "three"]);
    await putSkill(client, "theirs", ["three"]);
    const { mcpServers, skills, hiddenServerIds } = await exported(ANN);
    expect(mcpServers.map(({ id, agents, disabledAgents }) => [id, agents, disabledAgents])).toEqual([
      ["every", ["*"], []],
      ["every-open", ["*", "one"], ["two"]],
      ["mine", ["one"], []],
      ["nobodys", [], []],
      ["noted", ["one"], []],
      ["shared", ["one"], []],
    ]);
    expect(hiddenServerIds).toEqual(["every", "noted"]);
    const told = mcpServers.filter((one) => JSON.stringify(one.transport).includes("hush")).map(({ id }) => id);
    expect(told).toEqual(["mine", "nobodys"]);
    expect(mcpServers[1]?.transport.value).toMatchObject({ env: reference });
    expect((await exported()).hiddenServerIds).toEqual([]);
    expect(skills.map(({ id, agents }) => [id, agents])).toEqual([["shared", ["two"]]]);
  });
});
