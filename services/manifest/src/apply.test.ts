import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import type { Change } from "@openhermit/caller";
import { MeshError } from "@openhermit/errors";
import { sql } from "@openhermit/postgres";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { ManifestProblemsSchema, ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { testCaller, testDatabase, testLog, type TestCaller, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ApplyOptions, ManifestPorts } from "./apply.ts";
import { createManifestService } from "./manifest-service.ts";

let test: TestDatabase;
beforeAll(async () => {
  test = await testDatabase([]);
  await test.database.query(sql`CREATE TABLE resources (type text, id text, PRIMARY KEY (type, id))`);
});
afterAll(async () => {
  await test.drop();
});

/** Domains that keep only the ids of what they are given, in the same database. */
function ports(failAt?: string, refuses: readonly string[] = []): ManifestPorts {
  const put =
    (type: string) =>
    async (
      tx: Parameters<ManifestPorts["agentTeams"]>[0],
      items: readonly { id?: string; name?: string }[],
      options: ApplyOptions,
    ) => {
      const changes = [];
      for (const item of items) {
        const id = item.id ?? item.name ?? "";
        if (id === failAt) throw new ConnectError("no", Code.Aborted);
        if (refuses.includes(id) || !options.mayWrite(id)) {
          changes.push({ id, action: "refused" as const, fields: [] });
          continue;
        }
        const { rowCount } = await tx.query(
          sql`INSERT INTO resources (type, id) VALUES (${type}::text, ${id}::text) ON CONFLICT DO NOTHING`,
        );
        changes.push({ id, action: rowCount === 1 ? ("create" as const) : ("none" as const), fields: [] });
        if (rowCount === 1) await options.record(tx, [{ action: "put", targetType: type, targetId: id }]);
      }
      return changes;
    };
  return {
    providerNames: async () => ["offline"],
    async agentTeams(tx) {
      const { rows } = await tx.query<{ id: string }>(sql`SELECT id FROM resources WHERE type = 'agent'`);
      return new Map(rows.map(({ id }) => [id, "red"]));
    },
    isTeam: (teamId) => teamId === "red",
    may: (_, resource, verb, id) =>
      !["providers:costly:write", "agents:foreign:write", "mcp-servers:foreign:write"].includes(
        `${resource}:${id}:${verb}`,
      ),
    applyProviders: put("provider"),
    applyAgents: put("agent"),
    applyMcpServers: put("mcp-server"),
  };
}

const trail: Change[] = [];

function client(failAt?: string, caller: TestCaller = testCaller(), refuses: readonly string[] = []) {
  const service = createManifestService({
    database: test.database,
    log: testLog(),
    caller: () => caller,
    audit: () => async (_, changes) => void trail.push(...changes),
    ports: ports(failAt, refuses),
  });
  return createClient(
    ManifestService,
    createRouterTransport((router) => service.routes(router), {
      router: {
        interceptors: [
          (next) => (request) =>
            next(request).catch((error: unknown) => {
              if (!(error instanceof MeshError)) throw error;
              const code = error.code === "permission_denied" ? Code.PermissionDenied : Code.Aborted;
              throw new ConnectError(`${error.reason}: ${error.message}`, code);
            }),
        ],
      },
    }),
  );
}

const MANIFEST = `
providers: { local: { kind: openai-compatible, baseUrl: "http://127.0.0.1:1/v1" } }
agents: { one: { model: local/x }, two: { model: offline/echo } }
mcpServers: { tools: { command: node, agents: [one] } }
`;

it("applies a manifest once, and finds nothing to do the second time", async () => {
  const first = await client().applyManifest({ manifest: MANIFEST, fileName: "a.yaml", baseDirectory: "/" });
  expect(first.changes.map((change) => `${change.resourceType} ${change.resourceId}`)).toEqual([
    "provider local",
    "agent one",
    "agent two",
    "mcp-server tools",
  ]);
  expect(trail.splice(0).map(({ targetType, targetId }) => `${targetType} ${targetId}`)).toEqual([
    "provider local",
    "agent one",
    "agent two",
    "mcp-server tools",
  ]);
  const second = await client().applyManifest({ manifest: MANIFEST, fileName: "a.yaml", baseDirectory: "/" });
  expect(trail).toEqual([]);
  expect(second).toMatchObject({ changes: [], unchangedCount: 4 });
});

it("lets an MCP server refer to an agent that only the fleet knows", async () => {
  const manifest = "mcpServers: { more: { url: https://mcp.example, agents: [two] } }";
  expect((await client().applyManifest({ manifest })).changes).toHaveLength(1);
});

it("changes nothing when one part fails", async () => {
  const manifest = "defaults: { model: offline/echo }\nagents: { three: , four: }";
  await expect(client("four").applyManifest({ manifest })).rejects.toMatchObject({ code: Code.Aborted });
  expect([...(await ports().agentTeams(test.database)).keys()]).not.toContain("three");
});

it("refuses a manifest with problems and names each with its place", async () => {
  const manifest = "agents:\n  five: { modle: offline/echo }\n";
  const error = await client()
    .applyManifest({ manifest, fileName: "b.yaml" })
    .then(() => undefined, ConnectError.from);
  expect(error?.code).toBe(Code.InvalidArgument);
  expect(error?.findDetails(ErrorDetailSchema)[0]).toMatchObject({ reason: "MANIFEST_INVALID" });
  expect(error?.findDetails(ManifestProblemsSchema)[0]?.problems).toMatchObject([
    { fileName: "b.yaml", line: 2, column: 3, path: "agents.five" },
    { fileName: "b.yaml", line: 2, column: 11, path: "agents.five.modle", hint: 'did you mean "model"?' },
  ]);
});

it("lets one of the applies that run at once win; the others change nothing", async () => {
  const manifest = "defaults: { model: offline/echo }\nagents: { six: , seven: , eight: }";
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => client().applyManifest({ manifest })));
  const applied = all.filter((result) => result.status === "fulfilled").map(({ value }) => value.changes.length);
  // Who comes when the winner has committed finds nothing left to do; who came before is refused.
  expect(applied.filter((changes) => changes > 0)).toEqual([3]);
  expect((await client().applyManifest({ manifest })).changes).toEqual([]);
});

it("names all that is refused at once, and has changed nothing, also what was allowed", async () => {
  const manifest = `
defaults: { model: offline/echo }
providers: { costly: { kind: openai, baseUrl: "https://models.example" }, cheap: { kind: offline } }
agents: { nine: , ten: , foreign: }
mcpServers:
  theirs: { command: node, args: [secret-of-mine], agents: [nine] }
  foreign: { command: node, agents: [nine] }
`;
  for (const dryRun of [true, false]) {
    const apply = client(undefined, testCaller(), ["ten", "theirs"]).applyManifest({ manifest, dryRun });
    await expect(apply).rejects.toMatchObject({
      code: Code.PermissionDenied,
      rawMessage:
        'RIGHT_MISSING: the manifest would change what you may not change: provider "costly", agent "ten", agent "foreign", mcp-server "theirs", mcp-server "foreign"',
    });
    const { rows } = await test.database.query(sql`SELECT FROM resources WHERE id IN ('cheap', 'nine')`);
    expect(rows).toEqual([]);
  }
});

it("tells of an agent out of reach as of one that does not exist", async () => {
  const said = async (agent: string) => {
    const error = await client(undefined, testCaller("member:ann", ["one"]))
      .applyManifest({ manifest: `mcpServers: { spy: { command: node, agents: [${agent}] } }` })
      .then(() => undefined, ConnectError.from);
    const problems = error?.findDetails(ManifestProblemsSchema)[0]?.problems;
    return problems?.map(({ message, hint }) => `${message}: ${hint}`.replace(agent, "it"));
  };
  expect(await said("two")).toEqual(['agent "it" does not exist: add it under agents:, or remove it here']);
  expect(await said("two")).toEqual(await said("six"));
});

it("tells that a team does not exist only to who might own for it", async () => {
  const manifest = "agents: { eleven: { model: offline/echo, team: green } }";
  const error = await client()
    .applyManifest({ manifest, dryRun: true })
    .then(() => undefined, ConnectError.from);
  expect(error?.findDetails(ManifestProblemsSchema)[0]?.problems[0]?.message).toBe('team "green" does not exist');
  const stranger = { ...testCaller("member:ann"), mayOwnFor: () => false };
  // The fleet refuses it, whether the team exists or not.
  await expect(client(undefined, stranger, ["eleven"]).applyManifest({ manifest })).rejects.toMatchObject({
    code: Code.PermissionDenied,
  });
});
