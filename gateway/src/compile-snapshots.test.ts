import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { catalogMigrations, createCatalogService, type CatalogService } from "@openhermit/catalog-service";
import { createFleetService, fleetMigrations, type FleetService } from "@openhermit/fleet-service";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillSchema } from "@openhermit/protocol/catalog/v1/skill";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { AgentSchema, DefaultsSchema, Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { testCaller, testDatabase, testLog, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

import { compileSnapshots } from "./compile-snapshots.ts";

const COUNT = 300;
const idOf = (index: number): string => `agent-${String(index).padStart(3, "0")}`;
const ALL = Array.from({ length: COUNT }, (_, index) => idOf(index));
const SKILL_MD = "---\nname: notes\ndescription: Takes notes when asked to.\n---\nTake notes.\n";

let db: TestDatabase;
let fleet: FleetService;
let catalog: CatalogService;

beforeAll(async () => {
  db = await testDatabase([fleetMigrations, catalogMigrations]);
  const parts = { database: db.database, log: testLog(), caller: () => testCaller(), audit: () => async () => {} };
  catalog = createCatalogService({
    ...parts,
    ports: {
      mayWrite: () => true,
      agentTeams: (tx) => fleet.agentTeams(tx),
      holdTeams: (tx, agentIds) => fleet.holdTeams(tx, agentIds),
      agentIds: () => ALL,
      componentReports: () => new Map(),
    },
  });
  fleet = createFleetService({
    ...parts,
    ports: {
      createJoinToken: async () => ({ joinToken: "none" }),
      drainSidecar: async () => {},
      revokeSidecars: async () => {},
      gatewayUrl: () => "http://127.0.0.1",
      recordEvents: async () => {},
      forgetAgents: async () => {},
      catalogRevisions: (agentIds) => catalog.revisionsFor(agentIds),
      isTeam: () => false,
      secretNames: async () => new Map(),
    },
  });
  const skills = createClient(SkillService, createRouterTransport(catalog.routes));
  const { digest } = await skills.putBundle({
    bundle: { files: [{ path: "SKILL.md", content: Buffer.from(SKILL_MD) }] },
  });
  const options = { dryRun: false, prune: false, caller: testCaller(), mayWrite: () => true, record: async () => {} };
  await db.database.transaction(async (tx) => {
    await fleet.applyFleet(
      tx,
      {
        defaults: create(DefaultsSchema, { spec: { model: "offline/echo", instructions: "Be brief." } }),
        providers: [],
        agents: ALL.map((id) => create(AgentSchema, { id, spec: { launcher: Launcher.EXTERNAL } })),
      },
      options,
    );
    await catalog.applyCatalog(
      tx,
      {
        mcpServers: [
          create(McpServerSchema, {
            id: "everything",
            transport: { case: "stdio", value: { command: "/bin/true" } },
            agents: ["*"],
            disabledAgents: [idOf(1)],
          }),
        ],
        skills: [create(SkillSchema, { id: "notes", digest, agents: [idOf(2)] })],
      },
      options,
    );
  });
});
afterAll(async () => {
  await Promise.all([fleet.close(), catalog.close()]);
  await db.drop();
});

test("a snapshot has all that its agent inherits and uses, and nothing that it does not", async () => {
  const snapshots = await compileSnapshots({ fleet, catalog }, [...ALL.slice(0, 3), "never-was"]);
  expect(snapshots.map(({ agentId }) => agentId)).toEqual(ALL.slice(0, 3));
  const told = snapshots.map(({ spec, provider, mcpServers, skills }) => [
    spec?.model,
    spec?.instructions,
    provider?.name,
    mcpServers.map(({ id }) => id).join(),
    skills.map(({ id, description }) => `${id}: ${description}`).join(),
  ]);
  const inherited = ["offline/echo", "Be brief.", "offline"];
  expect(told).toEqual([
    [...inherited, "everything", ""],
    [...inherited, "", ""],
    [...inherited, "everything", "notes: Takes notes when asked to."],
  ]);
  expect(snapshots[2]?.skills[0]?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
});

test("compiling all of them is one statement for each domain, as compiling one is", async () => {
  const statements = async (agentIds: readonly string[]): Promise<number> => {
    const before = db.database.statementCount();
    const snapshots = await compileSnapshots({ fleet, catalog }, agentIds);
    expect(snapshots).toHaveLength(agentIds.length);
    return db.database.statementCount() - before;
  };
  expect(await statements([idOf(0)])).toBe(2);
  expect(await statements(ALL)).toBe(2);
});
