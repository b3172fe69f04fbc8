import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { migrate, sql } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { temporaryDirectory, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeCatalog, type CatalogClient } from "../test/catalog-harness.ts";
import { server } from "../test/sample-items.ts";
import { catalogMigrations, type CatalogService } from "./index.ts";

let store: TestDatabase;
let catalog: CatalogService;
let client: CatalogClient;

beforeAll(async () => {
  store = await testDatabase([catalogMigrations]);
});
afterAll(() => store.drop());

beforeEach(() => {
  ({ catalog, client } = makeCatalog(store.database));
});
afterEach(async () => {
  for (const { id } of (await client.listMcpServers({ pageSize: 1000 })).mcpServers) {
    await client.deleteMcpServer({ mcpServerId: id });
  }
  await catalog.close();
});

const put = async (one: McpServer): Promise<McpServer> => {
  const { mcpServer } = await client.putMcpServer({ mcpServer: one });
  if (mcpServer === undefined) throw new Error("no server in the answer");
  return mcpServer;
};
const revisionOf = async (agentId: string): Promise<bigint> =>
  (await catalog.revisionsFor([agentId])).get(agentId) ?? -1n;
const serversOf = async (agentId: string): Promise<string[]> =>
  ((await catalog.catalogsFor([agentId])).get(agentId)?.servers ?? []).map(({ id }) => id);

describe("PutMcpServer", () => {
  it("changes nothing when the server is the same, and refuses a lost update", async () => {
    const first = await put(server("files", ["one", "two"]));
    const revision = await revisionOf("one");
    expect(await put(server("files", ["two", "one", "two"]))).toEqual(first);
    expect(await revisionOf("one")).toBe(revision);

    const second = await put(server("files", ["one"], { etag: first.etag }));
    expect(second.etag).not.toBe(first.etag);
    expect(second.createTime).toEqual(first.createTime);
    await expect(put(server("files", [], { etag: first.etag }))).rejects.toThrow("MCP_SERVER_CHANGED");
    await expect(put(server("fresh", [], { etag: "x1" }))).rejects.toThrow("MCP_SERVER_CHANGED");
    const { mcpServer } = await client.getMcpServer({ mcpServerId: "files" });
    expect(mcpServer).toEqual(second);
  });

  it("lets one of many writers of a new server create it and gives all the same answer", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => put(server("same", ["*"]))));
    expect(new Set(answers.map(({ etag }) => etag)).size).toBe(1);
  });
});

describe("what an agent uses", () => {
  it("is its own servers and those of every agent, with one statement for all agents", async () => {
    await put(server("own", ["one"]));
    await put(server("all", ["*"]));
    await put(server("both", ["*", "two"]));
    const before = store.database.statementCount();
    const catalogs = await catalog.catalogsFor(["one", "two", "never-seen"]);
    expect(store.database.statementCount() - before).toBe(1);
    expect([...catalogs].map(([agent, { servers }]) => [agent, servers.map(({ id }) => id)])).toEqual([
      ["one", ["all", "both", "own"]],
      ["two", ["all", "both"]],
      ["never-seen", ["all", "both"]],
    ]);
    // Two equal servers compare equal: nothing in them changes by itself.
    expect(catalogs.get("one")?.servers[0]).toEqual(server("all", []));
    expect(await catalog.revisionsFor(["one", "two"])).toEqual(
      new Map(["one", "two"].map((id) => [id, catalogs.get(id)?.revision])),
    );
  });

  it("has a revision that grows for whom a change concerns, also on delete, and never falls", async () => {
    const seen: bigint[] = [];
    const step = async (change: () => Promise<unknown>): Promise<{ one: boolean; two: boolean }> => {
      const [one, two] = [await revisionOf("one"), await revisionOf("two")];
      await change();
      seen.push(await revisionOf("one"));
      return { one: (await revisionOf("one")) > one, two: (await revisionOf("two")) > two };
    };
    expect(await step(() => put(server("files", ["one"])))).toEqual({ one: true, two: false });
    expect(await step(() => put(server("files", ["one", "two"])))).toEqual({ one: false, two: true });
    const moved = server("files", ["two"], { callTimeout: { seconds: 5n, nanos: 0 } });
    expect(await step(() => put(moved))).toEqual({ one: true, two: true });
    expect(await step(() => client.deleteMcpServer({ mcpServerId: "files" }))).toEqual({ one: false, two: true });
    expect(await step(() => put(server("files", ["*"])))).toEqual({ one: true, two: true });
    expect(await step(() => client.deleteMcpServer({ mcpServerId: "files" }))).toEqual({ one: true, two: true });
    expect(seen).toEqual(seen.toSorted((a, b) => Number(a - b)));
  });

  it("is announced to every gateway", async () => {
    const heard: (readonly string[] | "all")[] = [];
    const { catalog: other } = makeCatalog(store.database);
    other.onChanged((agentIds) => heard.push(agentIds));
    other.start();
    await waitFor(() => heard.length > 0, { what: "the subscription" });
    heard.length = 0;
    await put(server("files", ["one"]));
    await put(server("all", ["*"]));
    await waitFor(() => heard.length === 2, { what: "two announcements" });
    expect(heard).toEqual([["one"], "all"]);
    await other.close();
  });

  it("is forgotten with the agent, without touching what others use", async () => {
    await put(server("files", ["one", "two"]));
    await put(server("all", ["*"]));
    const before = await revisionOf("one");
    await store.database.transaction((tx) => catalog.forgetAgents(tx, ["one", "never-seen"]));
    expect([await serversOf("one"), await serversOf("two")]).toEqual([["all"], ["all", "files"]]);
    expect(await revisionOf("one")).toBeGreaterThan(before);
  });
});

it("names the secrets of the servers that each agent uses, by one statement", async () => {
  const env = (value: Record<string, string>) => ({
    transport: { case: "stdio" as const, value: { command: "node", env: value } },
  });
  await put(
    server("all", ["*"], { ...env({ A: "${secret.ALL_TOKEN}", B: "${secret.B_KEY}" }), disabledAgents: ["two"] }),
  );
  await put(server("own", ["one"], env({ A: "Bearer ${secret.A_KEY}", B: "${secret.B_KEY}", C: "plain" })));
  const before = store.database.statementCount();
  expect(await catalog.secretNamesFor(["one", "two", "three"])).toEqual(
    new Map([
      ["one", ["ALL_TOKEN", "A_KEY", "B_KEY"]],
      ["two", []],
      ["three", ["ALL_TOKEN", "B_KEY"]],
    ]),
  );
  expect(store.database.statementCount() - before).toBe(1);
  await expect(put(server("bad", [], env({ A: "${HOME}" })))).rejects.toThrow("MCP_VARIABLE_INVALID");
});

it("keeps what a database of the version before holds", async () => {
  const folder = await temporaryDirectory();
  const old = await testDatabase([]);
  try {
    const first = "0001-create-mcp-servers.sql";
    await copyFile(join(catalogMigrations.directory, first), join(folder.path, first));
    await migrate(old.database, [{ ...catalogMigrations, directory: folder.path }], testLog());
    await old.database.query(
      sql`INSERT INTO catalog.mcp_servers (id, spec, version) VALUES ('files', ${"{}"}::jsonb, 1)`,
    );
    await old.database.query(
      sql`INSERT INTO catalog.mcp_assignments (agent_id, mcp_server_id) VALUES ('*', 'files'), ('one', 'files')`,
    );
    await migrate(old.database, [catalogMigrations], testLog());
    const before = makeCatalog(old.database);
    const { mcpServer } = await before.client.getMcpServer({ mcpServerId: "files" });
    expect(mcpServer).toMatchObject({ agents: ["*", "one"], disabledAgents: [] });
    await before.catalog.close();
  } finally {
    await old.drop();
    await folder.remove();
  }
});

it("lists in pages and deletes", async () => {
  for (const id of ["c", "a", "b"]) await put(server(id, []));
  const first = await client.listMcpServers({ pageSize: 2 });
  const second = await client.listMcpServers({ pageSize: 2, pageToken: first.nextPageToken });
  expect([first, second].map(({ mcpServers }) => mcpServers.map(({ id }) => id))).toEqual([["a", "b"], ["c"]]);
  expect(second.nextPageToken).toBe("");
  await expect(client.listMcpServers({ pageToken: "nonsense" })).rejects.toThrow("PAGE_TOKEN_INVALID");
  await client.deleteMcpServer({ mcpServerId: "b" });
  await expect(client.deleteMcpServer({ mcpServerId: "b" })).rejects.toThrow("MCP_SERVER_NOT_FOUND");
  await expect(client.getMcpServer({ mcpServerId: "b" })).rejects.toThrow("MCP_SERVER_NOT_FOUND");
});
