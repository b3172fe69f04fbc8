import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ComponentHealthSchema, HealthState, type ComponentHealth } from "@openhermit/protocol/health/v1/health";
import { testCaller, testDatabase, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeCatalog, type Catalog } from "../test/catalog-harness.ts";
import { server } from "../test/sample-items.ts";
import { catalogMigrations } from "./index.ts";

const PEOPLE = { ann: testCaller("member:ann", ["one", "two", "four"]) };
const TEAMS = new Map(["five", "four", "one", "three", "two"].map((id) => [id, "red"]));
const SINCE = timestampFromDate(new Date(1_800_000_000_000));
const report = (state: HealthState, toolCount: number, lastError = ""): ComponentHealth =>
  create(ComponentHealthSchema, {
    name: "mcp:files",
    state,
    since: SINCE,
    toolCount,
    lastError,
    ...(lastError !== "" && { lastErrorTime: SINCE }),
  });
const REPORTS = new Map([
  [
    "mcp:files",
    new Map([
      ["one", report(HealthState.OK, 3)],
      ["two", report(HealthState.OK, 3, "was away")],
      ["three", report(HealthState.DOWN, 0, "is away")],
      ["gone", report(HealthState.OK, 3)],
    ]),
  ],
  ["mcp:other", new Map([["four", report(HealthState.OK, 9)]])],
]);

let store: TestDatabase;
let catalog: Catalog;

beforeAll(async () => {
  store = await testDatabase([catalogMigrations]);
  catalog = makeCatalog(store.database, { people: PEOPLE, teams: TEAMS, reports: REPORTS });
  await catalog.client.putMcpServer({
    mcpServer: server("files", ["*", "one", "not-yet"], { disabledAgents: ["five", "two"] }),
  });
  await catalog.client.putMcpServer({ mcpServer: server("theirs", ["three"]) });
});
afterAll(async () => {
  await catalog.catalog.close();
  await store.drop();
});

it("says how the server is with each agent that uses it, or should no longer and still does, by one statement", async () => {
  const before = store.database.statementCount();
  const { agents } = await catalog.client.getMcpServerStatus({ mcpServerId: "files" });
  expect(store.database.statementCount() - before).toBe(1);
  expect(
    agents.map((one) => [one.agentId, one.enabled, one.byWildcard, one.state, one.toolCount, one.lastError]),
  ).toEqual([
    ["four", true, true, HealthState.UNSPECIFIED, 0, ""],
    ["one", true, false, HealthState.OK, 3, ""],
    ["three", true, true, HealthState.DOWN, 0, "is away"],
    ["two", false, false, HealthState.OK, 3, "was away"],
  ]);
  expect(agents.map(({ since, lastErrorTime }) => [since, lastErrorTime])).toEqual([
    [undefined, undefined],
    [SINCE, undefined],
    [SINCE, SINCE],
    [SINCE, SINCE],
  ]);
});

it("leaves out agents out of reach, and is not found for a server that can't be seen", async () => {
  const ann = catalog.as("ann");
  const { agents } = await ann.getMcpServerStatus({ mcpServerId: "files" });
  expect(agents.map(({ agentId }) => agentId)).toEqual(["four", "one", "two"]);
  for (const id of ["theirs", "never-was"]) {
    await expect(ann.getMcpServerStatus({ mcpServerId: id })).rejects.toThrow(
      `MCP_SERVER_NOT_FOUND MCP server "${id}" does not exist`,
    );
  }
});
