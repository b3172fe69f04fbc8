import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { sql } from "@openhermit/postgres";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { ManifestProblemsSchema, ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { testDatabase, testLog, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ManifestPorts } from "./apply.ts";
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
function ports(failAt?: string): ManifestPorts {
  const put =
    (type: string) =>
    async (tx: Parameters<ManifestPorts["agentIds"]>[0], items: readonly { id?: string; name?: string }[]) => {
      const changes = [];
      for (const item of items) {
        const id = item.id ?? item.name ?? "";
        if (id === failAt) throw new ConnectError("no", Code.Aborted);
        const { rowCount } = await tx.query(
          sql`INSERT INTO resources (type, id) VALUES (${type}::text, ${id}::text) ON CONFLICT DO NOTHING`,
        );
        changes.push({ id, action: rowCount === 1 ? ("create" as const) : ("none" as const), fields: [] });
      }
      return changes;
    };
  return {
    providerNames: async () => ["offline"],
    agentIds: async (tx) =>
      (await tx.query<{ id: string }>(sql`SELECT id FROM resources WHERE type = 'agent'`)).rows.map(({ id }) => id),
    applyProviders: put("provider"),
    applyAgents: put("agent"),
    applyMcpServers: put("mcp-server"),
  };
}

function client(failAt?: string) {
  const service = createManifestService({
    database: test.database,
    log: testLog(),
    caller: () => ({ kind: "principal", id: "operator" }),
    ports: ports(failAt),
  });
  return createClient(
    ManifestService,
    createRouterTransport((router) => service.routes(router)),
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
  const second = await client().applyManifest({ manifest: MANIFEST, fileName: "a.yaml", baseDirectory: "/" });
  expect(second).toMatchObject({ changes: [], unchangedCount: 4 });
});

it("lets an MCP server refer to an agent that only the fleet knows", async () => {
  const manifest = "mcpServers: { more: { url: https://mcp.example, agents: [two] } }";
  expect((await client().applyManifest({ manifest })).changes).toHaveLength(1);
});

it("changes nothing when one part fails", async () => {
  const manifest = "defaults: { model: offline/echo }\nagents: { three: , four: }";
  await expect(client("four").applyManifest({ manifest })).rejects.toMatchObject({ code: Code.Aborted });
  expect(await ports().agentIds(test.database)).not.toContain("three");
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
