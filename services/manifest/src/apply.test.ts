import { Code } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { ManifestProblemsSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { sql } from "@openhermit/postgres";
import { testCaller, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { changeLines, errorOf, manifestClient, problemsOf } from "../test/manifest-client.ts";
import { domainDatabase } from "../test/stored-domains.ts";

let test: TestDatabase;
beforeAll(async () => {
  test = await domainDatabase();
});
afterAll(async () => {
  await test.drop();
});
afterEach(async () => {
  await test.database.query(sql`DELETE FROM resources`);
  await test.database.query(sql`DELETE FROM trail`);
});

const client = (options: Parameters<typeof manifestClient>[1] = {}) => manifestClient(test.database, options);

async function rows(table: "resources" | "trail"): Promise<string[]> {
  const statement =
    table === "trail"
      ? sql`SELECT type, id FROM trail ORDER BY position`
      : sql`SELECT type, id FROM resources ORDER BY type, id`;
  const found = await test.database.query<{ type: string; id: string }>(statement);
  return found.rows.map(({ type, id }) => `${type} ${id}`);
}

const DIGEST = `sha256:${"a".repeat(64)}`;
const MANIFEST = `
mcpServers: { tools: { command: node, env: { TOKEN: first }, agents: [one] } }
skills: { report: { path: ./report, agents: "*" } }
agents: { one: { model: local/x }, two: { desiredState: stopped } }
providers: { local: { kind: openai-compatible, baseUrl: "http://127.0.0.1:1/v1" } }
defaults: { model: offline/echo, team: red }
`;
const source = (text: string, more: { variables?: Record<string, string> } = {}) => ({
  files: [{ name: "a.yaml", text, baseDirectory: "/fleet" }],
  bundles: { report: DIGEST },
  ...more,
});

it("applies a manifest once, in the order of what refers to what, and finds nothing to do the second time", async () => {
  const first = await client().applyManifest({ source: source(MANIFEST) });
  const order = ["defaults defaults", "provider local", "agent one", "agent two", "skill report", "mcp-server tools"];
  expect(first.changes.map((change) => `${change.resourceType} ${change.resourceId}`)).toEqual(order);
  expect(first.planToken).toBe("");
  expect((await rows("trail")).toSorted()).toEqual(order.toSorted());
  const second = await client().applyManifest({ source: source(MANIFEST) });
  expect(second).toMatchObject({ changes: [], unchangedCount: 6 });
  expect(await rows("trail")).toHaveLength(6);
});

it("takes the short form of one file", async () => {
  const manifest = "agents: { one: { model: offline/echo } }";
  const { changes } = await client().applyManifest({ manifest, fileName: "a.yaml", baseDirectory: "/" });
  expect(changes).toHaveLength(1);
  expect(await problemsOf(client().applyManifest({ manifest: "agent:", fileName: "b.yaml" }))).toEqual([
    'b.yaml:1:1 agent: unknown key "agent"',
  ]);
});

it("plans what it would do, with the fields, and does nothing", async () => {
  const plan = await client().planManifest({ manifest: source(MANIFEST) });
  expect(changeLines(plan.changes)).toEqual([
    "+ defaults defaults",
    "  model:  → offline/echo",
    "+ provider local",
    "  name:  → local",
    "  kind:  → PROVIDER_KIND_OPENAI_COMPATIBLE",
    "  baseUrl:  → http://127.0.0.1:1/v1",
    "+ agent one",
    "  id:  → one",
    "  displayName:  → one",
    "  model:  → local/x",
    "  desiredState:  → DESIRED_STATE_RUNNING",
    "  team:  → red",
    "+ agent two",
    "  id:  → two",
    "  displayName:  → two",
    "  desiredState:  → DESIRED_STATE_STOPPED",
    "  team:  → red",
    "+ skill report",
    "  id:  → report",
    `  digest:  → ${DIGEST}`,
    '  agents:  → ["*"]',
    "+ mcp-server tools",
    "  id:  → tools",
    "  command:  → node",
    "  env.TOKEN:  → (sensitive)",
    '  agents:  → ["one"]',
  ]);
  const dryRun = await client().applyManifest({ source: source(MANIFEST), dryRun: true });
  expect(dryRun).toMatchObject({ unchangedCount: 0, planToken: plan.planToken });
  expect(dryRun.changes).toEqual(plan.changes);
  expect([await rows("resources"), await rows("trail")]).toEqual([[], []]);
});

it("deletes with prune what the manifest does not name, last, and nothing without it", async () => {
  await client().applyManifest({ source: source(MANIFEST) });
  const text = "agents: { two: { model: offline/echo }, three: { model: offline/echo } }";
  const kept = await client().planManifest({ manifest: source(text) });
  expect(kept.changes.map(({ resourceId }) => resourceId)).toEqual(["two", "three"]);
  const { changes } = await client().applyManifest({ source: source(text), prune: true });
  expect(changeLines(changes).filter((line) => !line.startsWith(" "))).toEqual([
    "~ agent two",
    "+ agent three",
    "- defaults defaults",
    "- provider local",
    "- agent one",
    "- skill report",
    "- mcp-server tools",
  ]);
  expect(await rows("resources")).toEqual(["agent three", "agent two"]);
});

it("does not know agents and defaults that prune takes away", async () => {
  await client().applyManifest({ source: source(MANIFEST) });
  const text = "agents: { three: }\nmcpServers: { more: { url: https://mcp.example, agents: [one, thre] } }";
  const kept = await problemsOf(client().planManifest({ manifest: source(text) }));
  expect(kept).toEqual(['a.yaml:2:63 mcpServers.more.agents[1]: agent "thre" does not exist']);
  expect(await problemsOf(client().planManifest({ manifest: source(text), prune: true }))).toEqual([
    'a.yaml:1:11 agents.three: agent "three" has no model',
    'a.yaml:2:58 mcpServers.more.agents[0]: agent "one" does not exist',
    'a.yaml:2:63 mcpServers.more.agents[1]: agent "thre" does not exist',
  ]);
  // Who does not reach all agents prunes no defaults.
  const narrow = client({ caller: testCaller("member:ann", ["one", "three"]) });
  expect(await problemsOf(narrow.planManifest({ manifest: source(text), prune: true }))).toHaveLength(2);
});

it("changes nothing when one part fails", async () => {
  const text = "defaults: { model: offline/echo }\nagents: { three: , four: }";
  const failing = client({ failsAt: "four" });
  expect((await errorOf(failing.applyManifest({ source: source(text) }))).code).toBe(Code.Internal);
  expect([await rows("resources"), await rows("trail")]).toEqual([[], []]);
});

it("refuses a manifest with problems and names each with its file and place", async () => {
  const files = [
    { name: "a.yaml", text: "agents: { one: { model: offline/echo } }" },
    { name: "b.yaml", text: "agents:\n  five: { modle: offline/echo }\n" },
  ];
  for (const call of [
    () => client().applyManifest({ source: { files } }),
    () => client().planManifest({ manifest: { files } }),
    () => client().detectDrift({ manifest: { files } }),
  ]) {
    const error = await errorOf(call());
    expect(error).toMatchObject({ code: Code.InvalidArgument, rawMessage: "b.yaml has 2 problems" });
    expect(error.findDetails(ErrorDetailSchema)[0]).toMatchObject({
      reason: "MANIFEST_INVALID",
      fields: { file_name: "b.yaml" },
    });
    expect(error.findDetails(ManifestProblemsSchema)[0]?.problems).toMatchObject([
      { fileName: "b.yaml", line: 2, column: 3, path: "agents.five" },
      { fileName: "b.yaml", line: 2, column: 11, path: "agents.five.modle", hint: 'did you mean "model"?' },
    ]);
  }
});

it("asks the database no more often for a thousand agents than for one", async () => {
  const statements = async (count: number, prune: boolean): Promise<number> => {
    const agents = Array.from({ length: count }, (_, index) => `  a${index}: { model: offline/echo }`).join("\n");
    const servers = `mcpServers:\n  tools: { command: node, agents: [${count === 1 ? "a0" : "a0, a999"}] }`;
    const before = test.database.statementCount();
    const plan = await client().planManifest({ manifest: source(`agents:\n${agents}\n${servers}`), prune });
    expect(plan.changes).toHaveLength(count + 1);
    return test.database.statementCount() - before;
  };
  const one = [await statements(1, false), await statements(1, true)];
  expect([await statements(1000, false), await statements(1000, true)]).toEqual(one);
  expect(Math.max(...one)).toBeLessThan(16);
});

it("lets one of the applies that run at once win; the others change nothing", async () => {
  const text = "defaults: { model: offline/echo }\nagents: { six: , seven: , eight: }";
  const { planToken } = await client().planManifest({ manifest: source(text) });
  const apply = () => client().applyManifest({ source: source(text), planToken });
  const all = await Promise.all(
    Array.from({ length: 20 }, () =>
      apply().then(
        () => "applied",
        (error: Error) => error.message,
      ),
    ),
  );
  expect(all.filter((result) => result === "applied")).toHaveLength(1);
  expect(all.filter((result) => /APPLY_IN_PROGRESS|PLAN_STALE/.test(result))).toHaveLength(19);
  expect(await rows("trail")).toHaveLength(4);
});

it("plans while somebody applies", async () => {
  const text = "agents: { one: { model: offline/echo } }";
  const planned: string[][] = [];
  const applying = client({
    before: async ({ dryRun }) => {
      if (!dryRun) planned.push(changeLines((await client().planManifest({ manifest: source(text) })).changes));
    },
  });
  await applying.applyManifest({ source: source(text) });
  expect(planned).toEqual([expect.arrayContaining(["+ agent one"])]);
});

it("carries out the plan that was shown, and nothing else", async () => {
  const text = (token: string, model = "offline/echo") =>
    `agents: { one: { model: ${model} }, two: { model: offline/echo } }
mcpServers: { tools: { command: node, env: { TOKEN: ${token} }, agents: [one] } }`;
  const plan = async (manifest: ReturnType<typeof source>, prune = false) =>
    (await client().planManifest({ manifest, prune })).planToken;
  const token = await plan(source(text("first")));
  expect(token).toMatch(/^[\w-]{22}$/);
  // The order in the file and a second plan of the same state are of no account.
  const turned = `${text("first").split("\n")[1]}\nagents: { two: { model: offline/echo }, one: { model: offline/echo } }`;
  expect([await plan(source(text("first"))), await plan(source(turned))]).toEqual([token, token]);

  const stale = async (manifest: ReturnType<typeof source>, planToken: string, prune = false) => {
    const before = await rows("trail");
    const error = await errorOf(client().applyManifest({ source: manifest, planToken, prune }));
    expect(error.rawMessage).toContain("PLAN_STALE");
    expect(await rows("trail")).toEqual(before);
  };
  // A value that no plan shows makes another plan too, and so does pruning.
  await stale(source(text("second")), token);
  await stale(source(text("first")), token, true);
  await client().applyManifest({ source: source(turned), planToken: token });
  await stale(source(text("first")), token);

  // Nothing that changes differs, but what is only named has changed since.
  const next = await plan(source(text("first", "offline/other")));
  await test.database.query(sql`UPDATE resources SET version = version + 100 WHERE id = 'two'`);
  await stale(source(text("first", "offline/other")), next);
  const fresh = await plan(source(text("first", "offline/other")));
  const done = await client().applyManifest({ source: source(text("first", "offline/other")), planToken: fresh });
  expect(changeLines(done.changes)).toEqual(["~ agent one", "  model: offline/echo → offline/other"]);
});

it("refuses a plan that somebody overtakes between the check and the change", async () => {
  const text = "agents: { one: { model: offline/echo } }";
  const { planToken } = await client().planManifest({ manifest: source(text) });
  const overtaken = client({
    before: async ({ dryRun }) => {
      if (dryRun) return;
      await test.database.query(
        sql`INSERT INTO resources (type, id, message) VALUES ('agent', 'one', '{"id": "one"}')`,
      );
    },
  });
  const error = await errorOf(overtaken.applyManifest({ source: source(text), planToken }));
  expect(error.rawMessage).toContain("PLAN_STALE");
  expect(await rows("trail")).toEqual([]);
});

it("names all that is refused at once, in a plan too, and has changed nothing, also what was allowed", async () => {
  await client().applyManifest({ source: source("agents: { old: { model: offline/echo } }") });
  const text = `
defaults: { model: offline/echo }
providers: { costly: { kind: openai, baseUrl: "https://models.example" }, cheap: { kind: offline } }
agents: { nine: , ten: , foreign: }
skills: { report: { path: ./report, agents: [nine] } }
mcpServers: { theirs: { command: node, args: [secret-of-mine], agents: [nine] } }
`;
  const lacks = ["costly", "foreign", "report", "theirs", "old"].flatMap((id) =>
    ["providers", "agents", "skills", "mcp-servers"].map((resource) => `${resource}:${id}:write`),
  );
  const refusing = client({ lacks });
  for (const call of [
    () => refusing.planManifest({ manifest: source(text), prune: true }),
    () => refusing.applyManifest({ source: source(text), prune: true, dryRun: true }),
    () => refusing.applyManifest({ source: source(text), prune: true }),
  ]) {
    await expect(call()).rejects.toMatchObject({
      code: Code.PermissionDenied,
      rawMessage:
        'RIGHT_MISSING: the manifest would change what you may not change: provider "costly", agent "foreign", agent "old", skill "report", mcp-server "theirs"',
    });
    expect(await rows("resources")).toEqual(["agent old"]);
  }
});

it("tells of an agent out of reach as of one that does not exist", async () => {
  await client().applyManifest({ source: source("agents: { two: { model: offline/echo } }") });
  const narrow = client({ caller: testCaller("member:ann", ["one"]) });
  const said = async (agent: string) => {
    const text = `mcpServers: { spy: { command: node, agents: [${agent}] } }`;
    const told = await problemsOf(narrow.applyManifest({ source: source(text) }));
    return told.map((line) => line.replace(agent, "it"));
  };
  expect(await said("two")).toEqual(['a.yaml:1:46 mcpServers.spy.agents[0]: agent "it" does not exist']);
  expect(await said("two")).toEqual(await said("six"));
});

it("tells that a team does not exist only to who might own for it", async () => {
  const text = "agents: { eleven: { model: offline/echo, team: green } }";
  expect(await problemsOf(client().planManifest({ manifest: source(text) }))).toEqual([
    'a.yaml:1:48 agents.eleven.team: team "green" does not exist',
  ]);
  const stranger = client({ caller: { ...testCaller("member:ann"), mayOwnFor: () => false } });
  // Whether it exists or not is left to the fleet, which refuses both alike.
  expect((await stranger.planManifest({ manifest: source(text) })).changes).toHaveLength(1);
});
