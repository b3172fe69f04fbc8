import { sql } from "@openhermit/postgres";
import type { DetectDriftResponse } from "@openhermit/protocol/manifest/v1/manifest_service";
import { testCaller, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { fieldLines, manifestClient } from "../test/manifest-client.ts";
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

const client = (name: string, options: Parameters<typeof manifestClient>[1] = {}) =>
  manifestClient(test.database, { caller: testCaller(name), ...options });
const manifest = (text: string) => ({ files: [{ name: "a.yaml", text, baseDirectory: "/fleet" }] });

const KINDS = ["NOTHING", "CHANGED", "ADDED", "MISSING"];
const lines = ({ drifts }: DetectDriftResponse): string[] =>
  drifts.flatMap(({ kind, resourceType, resourceId, actor, action, fields }) => [
    `${KINDS[kind]} ${resourceType} ${resourceId} by ${actor || "nobody"}: ${action || "nothing"}`,
    ...fieldLines(fields),
  ]);

const TEXT = `
defaults: { model: offline/echo }
agents: { one: { instructions: hi }, two: , three: }
mcpServers: { tools: { command: node, env: { TOKEN: first }, agents: [one, elder] } }
`;

it("finds nothing when the fleet is as the manifest says", async () => {
  const text = TEXT.replace(", elder", "");
  await client("member:ann").applyManifest({ source: manifest(text) });
  expect(await client("member:bob").detectDrift({ manifest: manifest(text) })).toMatchObject({
    drifts: [],
    unchangedCount: 5,
  });
});

it("says what differs, which way round, and who did that last and when", async () => {
  const elder = "elder: { launcher: external }";
  const edit = async (name: string, text: string, prune = false) =>
    client(name).applyManifest({ source: manifest(text), prune });
  await edit("member:ann", TEXT.replace("two:", `two: , ${elder}`));
  await edit("member:bob", "agents: { one: { instructions: by hand, model: offline/echo } }");
  await edit("member:cid", "agents: { one: { instructions: by hand, model: offline/echo, displayName: One } }");
  await edit("member:cid", "mcpServers: { tools: { command: node, env: { TOKEN: second }, agents: [one, elder] } }");
  const left = `
defaults: { model: offline/echo }
agents: { one: { instructions: by hand, model: offline/echo, displayName: One }, two: , ${elder} }
mcpServers: { tools: { command: node, env: { TOKEN: second }, agents: [one, elder] } }`;
  await edit("member:dan", left, true);

  const drift = await client("member:eve").detectDrift({ manifest: manifest(TEXT) });
  expect(lines(drift)).toEqual([
    "CHANGED agent one by member:cid: agents.update",
    "  displayName: one → One",
    "  model:  → offline/echo",
    "  instructions: hi → by hand",
    "MISSING agent three by member:dan: agents.delete",
    "  id: three → ",
    "  displayName: three → ",
    "  desiredState: DESIRED_STATE_RUNNING → ",
    "CHANGED mcp-server tools by member:cid: mcp-servers.put",
    "  env.TOKEN: (sensitive) → (sensitive)",
    "ADDED agent elder by member:ann: agents.create",
    "  id:  → elder",
    "  displayName:  → elder",
    "  launcher:  → LAUNCHER_EXTERNAL",
    "  desiredState:  → DESIRED_STATE_RUNNING",
  ]);
  expect(drift.unchangedCount).toBe(2);
  const time = drift.drifts[0]?.time;
  expect(Math.abs(Number(time?.seconds ?? 0n) * 1000 - Date.now())).toBeLessThan(3_600_000);
});

it("names who touched what differs, not who touched something else since", async () => {
  await client("member:ann").applyManifest({ source: manifest("agents: { one: { model: offline/echo } }") });
  await client("member:bob").applyManifest({ source: manifest("agents: { one: { model: offline/other } }") });
  const changed = "agents: { one: { model: offline/other, displayName: One } }";
  await client("member:cid").applyManifest({ source: manifest(changed) });
  const wanted = "agents: { one: { model: offline/echo, displayName: One } }";
  expect(lines(await client("member:eve").detectDrift({ manifest: manifest(wanted) }))).toEqual([
    "CHANGED agent one by member:bob: agents.update",
    "  model: offline/echo → offline/other",
  ]);
  await test.database.query(sql`DELETE FROM trail`);
  const unknown = await client("member:eve").detectDrift({ manifest: manifest(wanted) });
  expect(unknown.drifts[0]).toMatchObject({ actor: "", action: "" });
  expect(unknown.drifts[0]?.time).toBeUndefined();
});

it("needs no right to write, and tells nothing of what is out of reach", async () => {
  const all =
    "defaults: { model: offline/echo }\nagents: { one: , theirs: , hidden: }\nproviders: { p: { kind: offline } }";
  await client("member:ann").applyManifest({ source: manifest(all) });
  const caller = { ...testCaller("member:eve", ["one"]), mayOwnFor: () => false };
  const lacks = ["agents:one:write", "providers:p:write", "agents:defaults:write"];
  const text = "defaults: { model: offline/other }\nagents: { one: { instructions: hi }, theirs: }";
  const drift = await manifestClient(test.database, { caller, lacks }).detectDrift({ manifest: manifest(text) });
  expect(lines(drift)).toEqual([
    "CHANGED defaults defaults by member:ann: agents.create",
    "  model: offline/other → offline/echo",
    "CHANGED agent one by member:ann: agents.create",
    "  instructions: hi → ",
    "MISSING agent theirs by nobody: nothing",
    "ADDED provider p by member:ann: providers.create",
    "  name:  → p",
    "  kind:  → PROVIDER_KIND_OFFLINE",
  ]);
});

it("says who deleted a server only to whoever reaches all, since it may have been another team's", async () => {
  const server = "mcpServers: { s: { command: x, agents: [one] } }";
  const all = `agents: { one: { model: offline/echo } }\n${server}`;
  await client("member:ann").applyManifest({ source: manifest(all) });
  await client("member:ann").applyManifest({
    source: manifest("agents: { one: { model: offline/echo } }"),
    prune: true,
  });
  const drift = await client("member:ann").detectDrift({ manifest: manifest(all) });
  expect(lines(drift)[0]).toMatch(/^MISSING mcp-server s by member:ann/);
  const caller = { ...testCaller("member:eve", ["one"]), mayOwnFor: () => false };
  const theirs = await manifestClient(test.database, { caller }).detectDrift({ manifest: manifest(all) });
  expect(lines(theirs)[0]).toBe("MISSING mcp-server s by nobody: nothing");
});
