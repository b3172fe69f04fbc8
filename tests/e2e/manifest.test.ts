import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { startGatewayProcess, type GatewayProcess } from "../fixture/gateway-process.ts";
import { addPerson, type Person } from "../fixture/people.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { runHermit, type Ended } from "../fixture/running-fleet.ts";
import { writeSkill } from "../fixture/skill-folder.ts";

const SECRET = "sk-very-secret-4711";
// Nobody starts sidecars for these agents: what is tested here is what should be.
const DEFAULTS = "defaults:\n  model: offline/echo\n  launcher: external\n";
const AGENTS = `agents:
  one:
    instructions: |
      You help.
      You are kind.
  two:
    model: offline/echo
  three: {}
`;
const SERVERS = `mcpServers:
  notes:
    command: node
    args: [./notes.js]
    env: { NOTES_TOKEN: ${SECRET}, REGION: north }
    agents: "*"
    disabledAgents: [three]
  remote:
    url: https://user:${SECRET}@mcp.example/mcp?key=${SECRET}
    headers: { authorization: Bearer ${SECRET} }
    agents: [one]
`;
const FLEET = DEFAULTS + AGENTS + SERVERS;

const folder = mkdtempSync(join(tmpdir(), "openhermit-manifest-"));
const FILE = join(folder, "agents.yaml");
let database: TestDatabase;
let gateway: GatewayProcess;
let alice: Person;
beforeAll(async () => {
  database = await testDatabase([]);
  gateway = await startGatewayProcess({ databaseUrl: database.url });
  await waitFor(() => gateway.client(FleetService).listAgents({}, { timeoutMs: 2000 }), {
    deadlineMs: 30_000,
    what: "the gateway to be ready",
  });
  const transports = { operator: transport(gateway.token), anonymous: transport(undefined) };
  alice = await addPerson(gateway.url, transports, "alice", Role.OPERATOR);
}, 90_000);
afterAll(async () => {
  await gateway.dispose();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
  expect(processesNaming(gateway.home)).toEqual([]);
});
// Each test begins with a fleet that is what the file says.
beforeEach(async () => {
  writeFileSync(FILE, FLEET);
  const files = [{ name: "agents.yaml", text: FLEET, baseDirectory: folder }];
  await gateway.client(ManifestService).applyManifest({ source: { files }, prune: true });
});

function transport(token: string | undefined) {
  return createConnectTransport({
    baseUrl: gateway.url,
    httpVersion: "1.1",
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}

const hermit = (...args: string[]): Promise<Ended> => gateway.hermit(args);
const asAlice = (...args: string[]): Promise<Ended> => gateway.hermit(args, { env: { OPENHERMIT_TOKEN: alice.token } });
const edit = (from: string, to: string, file = FILE): void => {
  const text = readFileSync(file, "utf8");
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
};

interface Plan {
  changes: {
    action: string;
    resourceType: string;
    resourceId: string;
    fields?: { path: string; before?: string; after?: string; sensitive?: boolean }[];
  }[];
  counts: Record<string, number>;
  planToken: string;
}
async function diff(...args: string[]): Promise<Plan> {
  const { code, stdout, stderr } = await hermit("diff", ...args, "-o", "json");
  expect([code, stderr]).toEqual([expect.toBeOneOf([0, 2]), ""]);
  const plan = JSON.parse(stdout) as Plan;
  expect(code).toBe(plan.changes.length === 0 ? 0 : 2);
  return plan;
}

interface AuditRecord {
  id: string;
  action: string;
  targetType: string;
  targetId: string;
}
async function trail(): Promise<AuditRecord[]> {
  const { stdout } = await hermit("audit", "--tail", "500", "-o", "jsonl");
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditRecord)
    .filter(({ action }) => /^(agents|defaults|providers|mcp-servers|skills)\./.test(action));
}

test("one changed model is exactly that field of that agent in the diff, one update and one record; then no changes", async () => {
  expect(await hermit("diff", "-f", FILE)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("No changes") as string,
  });
  edit("  two:\n    model: offline/echo", "  two:\n    model: ollama/llama3.2");

  const shown = await hermit("diff", "-f", FILE);
  expect(shown.code).toBe(2);
  const lines = shown.stdout.trim().split("\n");
  expect(lines.slice(0, 2)).toEqual([
    "~ agent two",
    expect.stringMatching(/^ {4}model: +offline\/echo → ollama\/llama3\.2$/),
  ]);
  expect(lines).toHaveLength(3);
  expect(lines[2]).toContain("0 to create, 1 to update, 0 to delete");
  expect((await diff("-f", FILE)).changes).toEqual([
    {
      action: "CHANGE_ACTION_UPDATE",
      resourceType: "agent",
      resourceId: "two",
      fields: [{ path: "model", before: "offline/echo", after: "ollama/llama3.2" }],
    },
  ]);

  const before = new Set((await trail()).map(({ id }) => id));
  const applied = await hermit("apply", "-f", FILE);
  expect(applied).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("0 created, 1 updated, 0 deleted") as string,
  });
  expect(applied.stdout).toContain("~ agent two");
  const records = (await trail()).filter(({ id }) => !before.has(id));
  expect(records.map(({ action, targetId }) => `${action} ${targetId}`)).toEqual(["agents.update two"]);

  expect(await hermit("diff", "-f", FILE)).toMatchObject({ code: 0 });
  const again = await hermit("apply", "-f", FILE);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("No changes") as string });
  expect((await trail()).filter(({ id }) => !before.has(id))).toHaveLength(1);
}, 60_000);

test("an agent edited by hand shows up in drift with who did it and when, a member by its name", async () => {
  expect(await hermit("drift", "-f", FILE)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("No drift") as string,
  });
  const from = Date.now();
  const set = await asAlice("agents", "set", "one", "model=ollama/llama3.2");
  expect([set.code, set.stderr]).toEqual([0, expect.any(String)]);
  await gateway.client(FleetService).createAgent({ agent: { id: "extra", spec: {} } });
  await gateway.client(FleetService).deleteAgent({ agentId: "three" });

  const found = await hermit("drift", "-f", FILE, "-o", "json");
  expect(found.code).toBe(2);
  const { drifts } = JSON.parse(found.stdout) as { drifts: Record<string, unknown>[] };
  expect(drifts.filter(({ resourceType }) => resourceType === "agent")).toEqual([
    {
      kind: "DRIFT_KIND_CHANGED",
      resourceType: "agent",
      resourceId: "one",
      fields: [{ path: "model", after: "ollama/llama3.2" }],
      actor: "member:alice",
      time: expect.any(String) as string,
      action: "agents.update",
    },
    expect.objectContaining({ kind: "DRIFT_KIND_MISSING", resourceId: "three", actor: "local-operator" }),
    expect.objectContaining({ kind: "DRIFT_KIND_ADDED", resourceId: "extra", actor: "local-operator" }),
  ]);
  const time = Date.parse(drifts[0]?.time as string);
  // Two clocks that are one: of this process and of PostgreSQL, with its rounding.
  expect(time).toBeGreaterThanOrEqual(from - 1000);
  expect(time).toBeLessThanOrEqual(Date.now() + 1000);

  const text = (await hermit("drift", "-f", FILE)).stdout;
  expect(text).toMatch(/^~ agent one\n {4}model: +\(not set\) → ollama\/llama3\.2\n {4}.*by member:alice .*ago/m);
  expect(text).toMatch(/^- agent three .*\n {4}deleted by local-operator/m);
  expect(text).toMatch(/^\+ agent extra /m);
}, 60_000);

test("the plan of a token is carried out, or nothing: a stale one ends with 5", async () => {
  edit("  three: {}", "  three: { displayName: Third }");
  const { planToken } = await diff("-f", FILE);
  expect((await diff("-f", FILE)).planToken).toBe(planToken);

  await gateway.client(FleetService).updateAgent({
    agent: { id: "three", labels: { by: "hand" } },
    updateMask: { paths: ["labels"] },
  });
  const stale = await hermit("apply", "-f", FILE, "--plan", planToken);
  expect(stale.code).toBe(5);
  expect(stale.stderr).toContain("stale");
  expect(stale.stderr).toContain("hermit diff");
  expect(stale.stderr).not.toContain("    at ");
  const { agent } = await gateway.client(FleetService).getAgent({ agentId: "three" });
  expect(agent?.displayName).not.toBe("Third");

  const fresh = await diff("-f", FILE);
  expect(fresh.planToken).not.toBe(planToken);
  // Another manifest is another plan, also for a token that is fresh.
  edit("displayName: Third", "displayName: Fourth");
  expect((await hermit("apply", "-f", FILE, "--plan", fresh.planToken)).code).toBe(5);
  edit("displayName: Fourth", "displayName: Third");
  expect(await hermit("apply", "-f", FILE, "--plan", fresh.planToken)).toMatchObject({ code: 0 });
  expect((await hermit("apply", "-f", FILE, "--plan", "made-up")).code).toBe(5);
}, 60_000);

test("only --prune deletes, and only after asking", async () => {
  const fleet = gateway.client(FleetService);
  await fleet.createAgent({ agent: { id: "extra", spec: {} } });
  await fleet.putProvider({ provider: { name: "spare", kind: 5 } });
  expect(await hermit("diff", "-f", FILE)).toMatchObject({ code: 0 });
  const pruned = await hermit("diff", "-f", FILE, "--prune");
  expect(pruned.code).toBe(2);
  expect(
    pruned.stdout
      .split("\n")
      .filter((line) => line.startsWith("- "))
      .toSorted(),
  ).toEqual(["- agent extra", "- provider spare"]);
  const refused = await hermit("apply", "-f", FILE, "--prune");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("agent extra");
  expect((await fleet.listAgents({})).agents.map(({ id }) => id)).toEqual(["extra", "one", "three", "two"]);
  expect(await hermit("apply", "-f", FILE, "--prune", "--yes")).toMatchObject({ code: 0 });
  expect((await fleet.listAgents({})).agents.map(({ id }) => id)).toEqual(["one", "three", "two"]);
  expect(await hermit("diff", "-f", FILE, "--prune")).toMatchObject({ code: 0 });
}, 60_000);

test("several files and a folder are one manifest; what stands twice is refused with both places", async () => {
  const parts = join(folder, "parts");
  mkdirSync(parts);
  writeFileSync(join(parts, "10-defaults.yaml"), DEFAULTS);
  writeFileSync(join(parts, "20-agents.yml"), AGENTS);
  // JSON is YAML, and relative paths are from the file's own folder.
  const report = writeSkill(parts, "report", { files: { "notes/a.md": "a" } });
  writeFileSync(join(parts, "30-more.json"), JSON.stringify({ skills: { report: { path: "./report", agents: "*" } } }));
  writeFileSync(join(parts, "README.md"), "not a manifest");
  writeFileSync(join(folder, "servers.yaml"), SERVERS.replace("./notes.js", join(folder, "notes.js")));

  const added = await diff("-f", parts, "-f", join(folder, "servers.yaml"));
  expect(added.changes.map(({ resourceType, resourceId }) => `${resourceType} ${resourceId}`)).toEqual([
    "skill report",
  ]);
  expect(await hermit("apply", "-f", parts, "-f", join(folder, "servers.yaml"))).toMatchObject({ code: 0 });
  expect((await diff("-f", parts, "-f", join(folder, "servers.yaml"), "--prune")).changes).toEqual([]);
  writeFileSync(join(report, "notes/a.md"), "b");
  const changed = await diff("-f", parts);
  expect(changed.changes).toMatchObject([
    { resourceType: "skill", resourceId: "report", fields: [{ path: "digest" }] },
  ]);

  const twice = await hermit("diff", "-f", parts, "-f", FILE);
  expect(twice.code).toBe(1);
  expect(twice.stderr).toContain("agents.yaml");
  expect(twice.stderr).toContain("20-agents.yml");
  expect(twice.stderr).toMatch(/twice/);
}, 60_000);

test("declared variables are taken from the environment, undeclared ones are not, and texts stay as they are", async () => {
  const file = join(folder, "variables.yaml");
  writeFileSync(
    file,
    `environment: [MESH_REGION, MESH_TOKEN]
agents:
  one: { instructions: "say \${MESH_TOKEN} and \${HOME}" }
mcpServers:
  notes:
    command: node
    args: [notes.js, "--region=\${MESH_REGION:-south}", "$\${5}"]
    env: { NOTES_TOKEN: "\${MESH_TOKEN}", KEY: "\${secret.NOTES_KEY}" }
    agents: "*"
`,
  );
  const unset = await hermit("diff", "-f", file);
  expect(unset.code).toBe(1);
  expect(unset.stderr).toMatch(/MESH_TOKEN is not set/);
  const env = { MESH_TOKEN: SECRET };
  const applied = await gateway.hermit(["apply", "-f", file], { env });
  expect([applied.code, applied.stderr]).toEqual([0, expect.any(String)]);
  expect(applied.stdout + applied.stderr).not.toContain(SECRET);
  const { mcpServer } = await gateway.client(CatalogService).getMcpServer({ mcpServerId: "notes" });
  expect(mcpServer?.transport.value).toMatchObject({
    args: ["notes.js", "--region=south", "${5}"],
    env: { NOTES_TOKEN: SECRET, KEY: "${secret.NOTES_KEY}" },
  });
  const { agent } = await gateway.client(FleetService).getAgent({ agentId: "one" });
  expect(agent?.spec?.instructions).toBe("say ${MESH_TOKEN} and ${HOME}");
  expect(await gateway.hermit(["diff", "-f", file], { env })).toMatchObject({ code: 0 });
  const moved = await gateway.hermit(["diff", "-f", file, "-o", "json"], { env: { ...env, MESH_REGION: "west" } });
  expect((JSON.parse(moved.stdout) as Plan).changes).toMatchObject([
    { resourceId: "notes", fields: [{ path: expect.stringContaining("args") as string }] },
  ]);

  edit("--region=${MESH_REGION:-south}", "--home=${HOME}", file);
  const undeclared = await gateway.hermit(["diff", "-f", file], { env });
  expect(undeclared.code).toBe(1);
  expect(undeclared.stderr).toMatch(/variables\.yaml:7:\d+.*HOME is not declared/);
}, 60_000);

test("secret values are in no output of diff, apply, drift, audit, not in the gateway's log, and an export is theirs who may write", async () => {
  const other = `${SECRET}-new`;
  const outputs: string[] = [];
  const run = async (...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await hermit(...args);
    expect([args.join(" "), code]).toEqual([args.join(" "), expect.toBeOneOf([0, 2])]);
    outputs.push(stdout, stderr);
  };
  writeFileSync(FILE, FLEET.replaceAll(SECRET, other));
  await run("diff", "-f", FILE);
  await run("diff", "-f", FILE, "-o", "json");
  await run("drift", "-f", FILE);
  await run("drift", "-f", FILE, "-o", "json");
  await run("apply", "-f", FILE);
  writeFileSync(FILE, DEFAULTS + AGENTS);
  await run("apply", "-f", FILE, "--prune", "--yes", "-o", "json");
  writeFileSync(FILE, FLEET);
  await run("apply", "-f", FILE);
  await run("audit", "--tail", "500");
  await run("audit", "--tail", "500", "-o", "json");
  await run("agents", "diff", "one", "two");
  // A manifest with a mistake beside the secret.
  edit("    url: https", "    headers: { x: 1 }\n    url: https");
  const broken = await hermit("diff", "-f", FILE);
  expect(broken.code).toBe(1);
  outputs.push(broken.stdout, broken.stderr, gateway.log());
  for (const output of outputs) expect(output).not.toContain("very-secret");
  expect(outputs.join("\n")).toContain("(sensitive)");

  const exported = await hermit("export");
  expect(exported.stdout).toContain(SECRET);
  expect(exported.stderr).toMatch(/\b[1-9]\d* (plain )?values?\b/);
}, 90_000);

test("hermit mcp import takes the file of another tool", async () => {
  const file = join(folder, "claude_desktop_config.json");
  const config = {
    globalShortcut: "Ctrl+Space",
    mcpServers: {
      files: { command: "npx", args: ["-y", "@modelcontextprotocol/server-filesystem", "/tmp"], env: { A: SECRET } },
      search: { type: "http", url: "https://mcp.example/search", headers: { authorization: `Bearer ${SECRET}` } },
    },
  };
  writeFileSync(file, JSON.stringify(config));
  const imported = await hermit("mcp", "import", file);
  expect([imported.code, imported.stderr]).toEqual([0, expect.any(String)]);
  expect(imported.stdout + imported.stderr).not.toContain(SECRET);
  const { mcpServers } = await gateway.client(CatalogService).listMcpServers({});
  const found = Object.fromEntries(mcpServers.map((server) => [server.id, server]));
  expect(found.files?.transport.value).toMatchObject({
    command: "npx",
    args: config.mcpServers.files.args,
    env: { A: SECRET },
  });
  expect(found.search?.transport.value).toMatchObject({ url: "https://mcp.example/search" });
  expect((await hermit("mcp", "list")).stdout).toMatch(/^files\b/m);
  // What is there already is not overwritten unasked, or is the same and stays.
  expect((await hermit("mcp", "import", file)).stdout + imported.stdout).not.toContain(SECRET);

  writeFileSync(file, JSON.stringify({ mcpServers: { bad: { type: "sse", url: "https://mcp.example/sse" } } }));
  const refused = await hermit("mcp", "import", file);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("bad");
}, 60_000);

test("hermit schema needs no gateway, and describes a manifest", async () => {
  const home = join(folder, "no-home");
  const { code, stdout } = await runHermit(["schema"], { env: { OPENHERMIT_HOME: home, XDG_CONFIG_HOME: home } });
  expect(code).toBe(0);
  const schema = JSON.parse(stdout) as { $schema: string; properties: object };
  expect(schema.$schema).toContain("json-schema.org");
  expect(Object.keys(schema.properties).toSorted()).toEqual(
    expect.arrayContaining(["agents", "defaults", "environment", "mcpServers", "providers", "skills"]),
  );
});
