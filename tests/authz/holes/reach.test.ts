import { createClient } from "@connectrpc/connect";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { GrantService } from "@openhermit/protocol/access/v1/grant_service";
import { MemberService } from "@openhermit/protocol/access/v1/member_service";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { TeamService } from "@openhermit/protocol/access/v1/team_service";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { HealthService } from "@openhermit/protocol/health/v1/health_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { afterAll, beforeAll, expect, test } from "vitest";

import { gatherCast, memberSubject, type Cast } from "../cast.ts";
import { messageOf, outcomeOf } from "../failure.ts";

let cast: Cast;
let blue: string;
/** A turn of agent `one`, which team red owns. */
let turn: { turnId: string; sessionId: string };

beforeAll(async () => {
  cast = await gatherCast();
  blue = cast.people.get("blue-member")?.token ?? "";
  const operator = cast.as(cast.operatorToken);
  const stream = createClient(SessionService, operator).sendMessage({ agentId: "one", message: "the red secret" });
  for await (const { event } of stream) {
    if (event?.event.case === "turn") {
      turn = { turnId: event.event.value.id, sessionId: event.event.value.sessionId };
      break;
    }
  }
  await createClient(CatalogService, operator).putMcpServer({
    mcpServer: { id: "red-files", transport: { case: "stdio", value: { command: "/bin/true" } }, agents: ["one"] },
  });
}, 60_000);
afterAll(() => cast?.dispose());

test("cross-team lists: nothing of another team's agent is in any list, by any filter", async () => {
  const transport = cast.as(blue);
  const fleet = createClient(FleetService, transport);
  const answers = [
    await fleet.listAgents({}),
    await createClient(SessionService, transport).listSessions({}),
    await createClient(SessionService, transport).listSessions({ agentId: "one" }),
    await createClient(ActivityService, transport).queryEvents({}),
    await createClient(ActivityService, transport).queryEvents({ filter: { agentId: "one" } }),
    await createClient(ActivityService, transport).queryEvents({ filter: { text: "red secret" } }),
    await createClient(HealthService, transport).getFleetHealth({}),
    await createClient(CatalogService, transport).listMcpServers({}),
    await createClient(TeamService, transport).listTeams({}),
  ];
  const text = JSON.stringify(answers, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
  expect(text).toContain('"two"');
  expect(text).not.toMatch(/"one"|"red"|red-|red secret/);
  const metrics = await fetch(`${cast.gateway.url}/metrics`, { headers: { authorization: `Bearer ${blue}` } });
  expect([metrics.status, (await metrics.text()).includes('agent_id="one"')]).toEqual([200, false]);
  expect((await fleet.listAgents({})).agents.map(({ id }) => id)).toEqual(["shared", "spare", "two"]);
});

test("what is out of reach answers in the words of what never was", async () => {
  const transport = cast.as(blue);
  const fleet = createClient(FleetService, transport);
  const sessions = createClient(SessionService, transport);
  const never = await messageOf(fleet.getAgent({ agentId: "never-was" }));
  expect(await messageOf(fleet.getAgent({ agentId: "one" }))).toBe(never.replace("never-was", "one"));
  for (const call of [
    () => fleet.updateAgent({ agent: { id: "one", displayName: "mine" } }),
    () => fleet.deleteAgent({ agentId: "one" }),
    () => fleet.startAgent({ agentId: "one" }),
    () => fleet.stopAgent({ agentId: "one" }),
    () => fleet.restartAgent({ agentId: "one" }),
    () => createClient(EnrollmentService, transport).createJoinToken({ sidecarId: "mine", agentIds: ["two", "one"] }),
  ]) {
    expect(await outcomeOf(call())).toBe("NotFound AGENT_NOT_FOUND");
  }
  const firstOf = async (stream: AsyncIterable<unknown>) => stream[Symbol.asyncIterator]().next();
  expect(await outcomeOf(firstOf(sessions.sendMessage({ agentId: "one", message: "hello" })))).toBe(
    "NotFound AGENT_NOT_FOUND",
  );
  for (const call of [
    () => sessions.getTurn({ turnId: turn.turnId }),
    () => sessions.cancelTurn({ turnId: turn.turnId }),
    () => firstOf(sessions.watchTurn({ turnId: turn.turnId })),
  ]) {
    expect(await outcomeOf(call())).toBe("NotFound TURN_NOT_FOUND");
  }
  for (const call of [
    () => sessions.getSession({ sessionId: turn.sessionId }),
    () => sessions.listTranscript({ sessionId: turn.sessionId }),
  ]) {
    expect(await outcomeOf(call())).toBe("NotFound SESSION_NOT_FOUND");
  }
  expect(await outcomeOf(createClient(CatalogService, transport).getMcpServer({ mcpServerId: "red-files" }))).toBe(
    "NotFound MCP_SERVER_NOT_FOUND",
  );
});

test("another agent's id in the body or in a header opens nothing", async () => {
  const own = createClient(SessionService, cast.as(blue));
  const mixed = own.sendMessage({
    agentId: "two",
    message: "go on",
    conversation: { case: "sessionId", value: turn.sessionId },
  });
  expect(await outcomeOf(mixed[Symbol.asyncIterator]().next())).toBe("NotFound SESSION_NOT_FOUND");
  const headers = {
    authorization: `Bearer ${blue}`,
    "x-agent-id": "one",
    "x-openhermit-agent": "one",
    "x-openhermit-role": "owner",
    "x-forwarded-user": "owner",
    "x-user": "owner",
    "x-team": "red",
    role: "owner",
  };
  const claiming = cast.surfaces.transport("Connect", headers);
  expect(await outcomeOf(createClient(FleetService, claiming).getAgent({ agentId: "one" }))).toBe(
    "NotFound AGENT_NOT_FOUND",
  );
  expect(await outcomeOf(createClient(MemberService, claiming).listMembers({}))).toBe("PermissionDenied RIGHT_MISSING");
});

test("a manifest, an MCP server and the id of a deleted agent take nothing over", async () => {
  const transport = cast.as(blue);
  const manifests = createClient(ManifestService, transport);
  for (const manifest of [
    "agents:\n  one:\n    model: offline/echo\n",
    "agents:\n  two:\n    model: offline/echo\n    team: red\n",
    "mcpServers:\n  red-files:\n    command: /bin/true\n    agents: [two]\n",
    'mcpServers:\n  mine:\n    command: /bin/true\n    agents: "*"\n',
  ]) {
    for (const dryRun of [true, false]) {
      const outcome = await outcomeOf(manifests.applyManifest({ manifest, fileName: "a.yaml", dryRun }));
      expect([manifest, outcome]).toEqual([manifest, expect.stringMatching(/^(PermissionDenied|NotFound) /)]);
    }
  }
  const assigning = (agent: string) => `mcpServers:\n  mine:\n    command: /bin/true\n    agents: [${agent}]\n`;
  for (const agent of ["one", "never-was"]) {
    const outcome = await outcomeOf(manifests.applyManifest({ manifest: assigning(agent), dryRun: true }));
    expect([agent, outcome]).toEqual([agent, "InvalidArgument MANIFEST_INVALID"]);
  }
  const catalog = createClient(CatalogService, transport);
  const server = (id: string, agents: string[]) => ({
    mcpServer: { id, transport: { case: "stdio" as const, value: { command: "/bin/true" } }, agents },
  });
  for (const call of [
    () => catalog.putMcpServer(server("red-files", ["two"])),
    () => catalog.putMcpServer(server("mine", ["one"])),
    () => catalog.putMcpServer(server("mine", ["*"])),
    () => catalog.deleteMcpServer({ mcpServerId: "red-files" }),
  ]) {
    expect(await outcomeOf(call())).not.toBe("ok");
  }
  const operator = createClient(FleetService, cast.as(cast.operatorToken));
  const agent = (id: string, team: string) => ({
    agent: { id, team, spec: { model: "offline/echo", launcher: Launcher.EXTERNAL } },
  });
  await operator.createAgent(agent("short-lived", "red"));
  await operator.deleteAgent({ agentId: "short-lived" });
  const own = createClient(FleetService, transport);
  expect(await outcomeOf(own.createAgent(agent("short-lived", "blue")))).toBe("AlreadyExists AGENT_EXISTS");
  expect(await outcomeOf(own.createAgent(agent("gift", "red")))).toBe("PermissionDenied TEAM_NOT_YOURS");
  expect(await outcomeOf(own.updateAgent({ agent: { id: "two", team: "red" } }))).toBe(
    "PermissionDenied TEAM_NOT_YOURS",
  );
});

test("a grant opens one agent, as far as it says, until it is taken", async () => {
  const grants = createClient(GrantService, cast.as(cast.operatorToken));
  const fleet = createClient(FleetService, cast.as(cast.people.get("viewer")?.token));
  const attempts = async () => [
    await outcomeOf(fleet.getAgent({ agentId: "one" })),
    await outcomeOf(fleet.startAgent({ agentId: "one" })),
    await outcomeOf(fleet.startAgent({ agentId: "shared" })),
  ];
  const subject = memberSubject("viewer");
  const missing = "PermissionDenied RIGHT_MISSING";
  expect(await attempts()).toEqual(["NotFound AGENT_NOT_FOUND", missing, missing]);
  await grants.putGrant({ grant: { subject, agentId: "one", role: Role.VIEWER } });
  expect(await attempts()).toEqual(["ok", missing, missing]);
  await grants.putGrant({ grant: { subject, agentId: "one", role: Role.OPERATOR } });
  const [read, write, other] = await attempts();
  expect([read, write]).toEqual(["ok", "ok"]);
  // It has the right now, on agent one: what it lacks is agent shared.
  expect(other).not.toBe("ok");
  await grants.deleteGrant({ subject, agentId: "one" });
  expect(await attempts()).toEqual(["NotFound AGENT_NOT_FOUND", missing, missing]);
  // A grant ends with its agent, and is no grant on the next one of that name.
  const operator = createClient(FleetService, cast.as(cast.operatorToken));
  const again = { agent: { id: "again", team: "red", spec: { model: "offline/echo", launcher: Launcher.EXTERNAL } } };
  await operator.createAgent(again);
  await grants.putGrant({ grant: { subject, agentId: "again", role: Role.VIEWER } });
  expect(await outcomeOf(fleet.getAgent({ agentId: "again" }))).toBe("ok");
  await operator.deleteAgent({ agentId: "again" });
  await operator.createAgent(again);
  expect(await outcomeOf(fleet.getAgent({ agentId: "again" }))).toBe("NotFound AGENT_NOT_FOUND");
});
