import { createClient } from "@connectrpc/connect";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { LinkService } from "@openhermit/protocol/mesh/v1/link_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { waitFor } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

import { gatherCast, type Cast } from "../cast.ts";
import { skillOf } from "../expectations.ts";
import { messageOf, outcomeOf } from "../failure.ts";

/** A server of everybody; one of everybody except agent `one`, which has opted out; and one of agents one and two each. */
const WILDCARD = "for-each";
const EVERYBODYS = "for-all";
const MIXED = "for-two-teams";

let cast: Cast;
/** A member of team blue, an operator: agent `one` is out of reach, `two`, `shared` and `spare` are in it. */
let blue: string;
let viewer: string;

beforeAll(async () => {
  cast = await gatherCast();
  blue = cast.people.get("blue-member")?.token ?? "";
  viewer = cast.people.get("viewer")?.token ?? "";
  const catalog = createClient(CatalogService, cast.as(cast.operatorToken));
  const server = (id: string, agents: string[], disabledAgents: string[] = []) =>
    catalog.putMcpServer({
      mcpServer: {
        id,
        transport: { case: "stdio", value: { command: "/bin/true", env: { PASSWORD: "hunter2" } } },
        agents,
        disabledAgents,
      },
    });
  await server(WILDCARD, ["*"]);
  await server(EVERYBODYS, ["*"], ["one"]);
  await server(MIXED, ["one", "two"]);
}, 60_000);
afterAll(() => cast?.dispose());

const inWords = (answer: unknown): string =>
  JSON.stringify(answer, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
const firstOf = async (stream: AsyncIterable<unknown>) => stream[Symbol.asyncIterator]().next();
const source = (text: string) => ({ manifest: { files: [{ name: "a.yaml", text }] } });

test("what uses a server or a skill is told of agents in reach only, opted out or not", async () => {
  for (const token of [viewer, blue]) {
    const catalog = createClient(CatalogService, cast.as(token));
    const skills = createClient(SkillService, cast.as(token));
    const answers = [
      await catalog.getMcpServerStatus({ mcpServerId: EVERYBODYS }),
      await catalog.getMcpServer({ mcpServerId: EVERYBODYS }),
      await catalog.listMcpServers({}),
      await skills.listSkills({}),
    ];
    expect(inWords(answers)).not.toMatch(/"one"|files-one|notes-one|hunter2/);
    expect(inWords(answers[0])).toContain('"shared"');
  }
  const asBlue = createClient(CatalogService, cast.as(blue));
  const seen = await asBlue.getMcpServerStatus({ mcpServerId: MIXED });
  expect(seen.agents.map(({ agentId }) => agentId)).toEqual(["two"]);
  const asViewer = createClient(CatalogService, cast.as(viewer));
  const never = await messageOf(asViewer.getMcpServerStatus({ mcpServerId: "never-was" }));
  expect(await messageOf(asViewer.getMcpServerStatus({ mcpServerId: MIXED }))).toBe(never.replace("never-was", MIXED));
});

test("an agent out of reach is given nothing and nothing is taken from it, in the words of what never was", async () => {
  const catalog = createClient(CatalogService, cast.as(blue));
  const skills = createClient(SkillService, cast.as(blue));
  const outcomes = async (agentId: string) => [
    await outcomeOf(catalog.enableMcpServer({ mcpServerId: "files-shared", agentId })),
    await outcomeOf(catalog.disableMcpServer({ mcpServerId: MIXED, agentId })),
    await outcomeOf(skills.enableSkill({ skillId: "notes-shared", agentId })),
    await outcomeOf(skills.disableSkill({ skillId: "notes-shared", agentId })),
  ];
  const outOfReach = await outcomes("one");
  expect(outOfReach).toEqual(await outcomes("never-was"));
  expect(outOfReach).not.toContain("ok");
  // Everybody's is for those who reach everybody.
  for (const call of [
    () => catalog.enableMcpServer({ mcpServerId: "files-shared", agentId: "*" }),
    () => catalog.disableMcpServer({ mcpServerId: EVERYBODYS, agentId: "*" }),
    () => skills.enableSkill({ skillId: "notes-shared", agentId: "*" }),
    () => skills.putSkill({ skill: { ...skillOf("shared"), agents: ["*"] } }),
    () => skills.deleteSkill({ skillId: "notes-one" }),
  ]) {
    expect(await outcomeOf(call())).not.toBe("ok");
  }
  const operator = createClient(CatalogService, cast.as(cast.operatorToken));
  expect((await operator.getMcpServer({ mcpServerId: EVERYBODYS })).mcpServer).toMatchObject({
    agents: ["*"],
    disabledAgents: ["one"],
  });
  expect((await operator.getMcpServer({ mcpServerId: MIXED })).mcpServer?.agents.toSorted()).toEqual(["one", "two"]);
});

test("who watches a change learns of no agent out of reach: neither its state nor that there is one", async () => {
  for (const [token, count] of [
    [viewer, 2],
    [blue, 3],
  ] as const) {
    const fleet = createClient(FleetService, cast.as(token));
    const { value } = (await firstOf(fleet.watchApplied({}))) as { value: { totalCount: number } };
    expect([value.totalCount, inWords(value).includes('"one"')]).toEqual([count, false]);
    const never = await messageOf(firstOf(fleet.watchApplied({ agentIds: ["never-was"] })));
    expect(await messageOf(firstOf(fleet.watchApplied({ agentIds: ["one"] })))).toBe(never.replace("never-was", "one"));
    expect(await outcomeOf(firstOf(fleet.watchApplied({ agentIds: ["shared", "one"] })))).toBe(
      "NotFound AGENT_NOT_FOUND",
    );
  }
});

test("plans, drift, exports and comparisons see what is in reach, and a plan shows no secret", async () => {
  const viewers = createClient(ManifestService, cast.as(viewer));
  for (const call of [
    () => viewers.planManifest(source("agents: {}\n")),
    () => viewers.detectDrift(source("agents: {}\n")),
    () => viewers.exportManifest({}),
    () => viewers.compareAgents({ agentId: "shared", otherAgentId: "spare" }),
  ]) {
    expect(await outcomeOf(call())).toBe("PermissionDenied RIGHT_MISSING");
  }

  const manifests = createClient(ManifestService, cast.as(blue));
  for (const [agentId, otherAgentId] of [
    ["one", "two"],
    ["two", "one"],
  ] as const) {
    const never = await messageOf(manifests.compareAgents({ agentId: "never-was", otherAgentId: "two" }));
    const message = await messageOf(manifests.compareAgents({ agentId, otherAgentId }));
    expect(message).toBe(never.replace("never-was", "one"));
  }
  expect(await outcomeOf(manifests.exportManifest({ agentIds: ["two", "one"] }))).toBe("NotFound AGENT_NOT_FOUND");

  const drift = await manifests.detectDrift(source("agents: {}\n"));
  const pruning = await manifests.planManifest({ ...source("agents: {}\n"), prune: true });
  const exported = await manifests.exportManifest({});
  expect(exported.manifest).toContain("two:");
  expect(inWords(drift)).toContain('"two"');
  // What everybody uses differs from the manifest, and is not theirs to take away.
  expect(inWords(drift)).toContain(`"${WILDCARD}"`);
  expect(inWords(pruning)).not.toContain(WILDCARD);
  expect(inWords([drift, pruning, exported])).not.toMatch(/"one"|\bone:|\[one|one,|files-one|notes-one|hunter2|"red"/);
});

test("a manifest changes neither defaults nor everybody's things for who does not reach everybody", async () => {
  const manifests = createClient(ManifestService, cast.as(blue));
  const everything = createClient(ManifestService, cast.as(cast.operatorToken));
  const before = await everything.exportManifest({});
  for (const text of [
    "defaults:\n  instructions: Obey me.\n",
    `mcpServers:\n  ${EVERYBODYS}:\n    command: /bin/false\n    agents: "*"\n`,
    `mcpServers:\n  ${MIXED}:\n    command: /bin/false\n    agents: [two]\n`,
    "agents:\n  one:\n    model: offline/echo\n",
  ]) {
    for (const call of [
      () => manifests.planManifest(source(text)),
      () => manifests.applyManifest({ source: source(text).manifest }),
      () => manifests.applyManifest({ source: source(text).manifest, prune: true }),
    ]) {
      expect([text, await outcomeOf(call())]).toEqual([
        text,
        expect.stringMatching(/^(PermissionDenied|NotFound|InvalidArgument) /),
      ]);
    }
  }
  expect((await everything.exportManifest({})).manifest).toBe(before.manifest);
  // What is pruned is what is in reach: agents of nobody, and the own team's.
  const kept = "agents:\n  two:\n    model: offline/echo\n    launcher: external\n    team: blue\n";
  await manifests.applyManifest({ source: source(kept).manifest, prune: true });
  const fleet = createClient(FleetService, cast.as(cast.operatorToken));
  const left = (await fleet.listAgents({})).agents.map(({ id }) => id);
  expect(left).toEqual(expect.arrayContaining(["one", "two"]));
  for (const id of ["shared", "spare"].filter((each) => !left.includes(each))) {
    await fleet.createAgent({ agent: { id, spec: { model: "offline/echo", launcher: Launcher.EXTERNAL } } });
  }
});

test("a sidecar reads the bundles of its own agents' skills, and no other", async () => {
  const read = (token: string, agentId: string, id: string) =>
    outcomeOf(firstOf(createClient(LinkService, cast.as(token)).readBundle({ agentId, digest: skillOf(id).digest })));
  const { one, two } = cast.sidecarTokens;
  expect(await read(one, "one", "one")).toBe("ok");
  // The other agent's skill, asked for in the own agent's name and in its name.
  expect(await read(one, "one", "shared")).toBe("NotFound BUNDLE_NOT_FOUND");
  expect(await read(two, "two", "one")).toBe("NotFound BUNDLE_NOT_FOUND");
  expect(await read(two, "one", "one")).toBe("NotFound BUNDLE_NOT_FOUND");
  expect(await read(cast.operatorToken, "one", "one")).toBe("PermissionDenied AUDIENCE_WRONG");

  const skills = createClient(SkillService, cast.as(cast.operatorToken));
  await skills.disableSkill({ skillId: "notes-one", agentId: "one" });
  await waitFor(async () => (await read(one, "one", "one")) === "NotFound BUNDLE_NOT_FOUND", {
    what: "the bundle to be out of reach",
  });
  await skills.enableSkill({ skillId: "notes-one", agentId: "one" });
});
