import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Code, ConnectError } from "@connectrpc/connect";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { HealthService } from "@openhermit/protocol/health/v1/health_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { startGatewayProcess, type GatewayProcess } from "../fixture/gateway-process.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { send } from "../fixture/send.ts";
import { switchedPort, type SwitchedPort } from "../fixture/switched-port.ts";

const { slack } = readTestConfig();

let database: TestDatabase;
let port: SwitchedPort;
let gateway: GatewayProcess;
beforeAll(async () => {
  database = await testDatabase([]);
  const url = new URL(database.url);
  port = await switchedPort({ host: url.hostname, port: Number(url.port) });
  url.port = String(port.port);
  gateway = await startGatewayProcess({ databaseUrl: url.href });
});
afterAll(async () => {
  await gateway.dispose();
  await port.disconnect();
  await database.drop();
  expect(processesNaming(gateway.home)).toEqual([]);
});

const get = async (path: string): Promise<{ status: number; body: string }> => {
  const response = await fetch(gateway.url + path, { signal: AbortSignal.timeout(3000) });
  return { status: response.status, body: await response.text() };
};

/** The error of a call that must fail within two seconds. */
async function failsFast(call: Promise<unknown>): Promise<ConnectError> {
  const begin = performance.now();
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  if (error === undefined) throw new Error("the call was served without a database");
  expect(performance.now() - begin).toBeLessThan(2000 * slack);
  return error;
}

/** What must hold while the database is away, in whatever way. */
async function expectDown(): Promise<void> {
  await waitFor(async () => (await get("/health")).status === 503, { what: "/health to say that it is down" });
  expect((await get("/livez")).status).toBe(200);
  const health = await get("/health");
  expect(health.body).toMatch(/DOWN/i);
  const { health: summary } = await gateway.client(HealthService).getFleetHealth({}, { timeoutMs: 2000 });
  expect(summary?.state).toBe(HealthState.DOWN);
  expect(summary?.reasons.join()).toContain("database");
  const down = summary?.gatewayComponents.filter(({ state }) => state === HealthState.DOWN) ?? [];
  expect(down.length).toBeGreaterThanOrEqual(1);
  for (const { detail } of down) expect(detail.length).toBeGreaterThan(5);
  for (const call of [
    () => gateway.client(FleetService).listAgents({}),
    () => gateway.client(SessionService).listSessions({}),
    () => send(gateway.client(SessionService), "one", "is anybody there"),
  ]) {
    const error = await failsFast(call());
    expect([error.rawMessage, error.code]).toEqual([expect.stringContaining("database"), Code.Unavailable]);
  }
}

test("without a database: it is alive, says DOWN and why, and calls fail fast; when it appears all heals and a chat works", async () => {
  await expectDown();
  // A network that swallows everything is no better, and must not hang calls.
  await port.swallow();
  await expectDown();
  await port.connect();
  await waitFor(async () => (await get("/health")).status === 200, { deadlineMs: 15_000, what: "/health to be well" });
  const fleet = gateway.client(FleetService);
  for (const id of ["one", "two"]) await fleet.createAgent({ agent: { id, spec: { model: "offline/echo" } } });
  await waitFor(
    async () => (await fleet.listAgents({})).agents.every(({ status }) => status?.state === AgentState.ONLINE),
    { deadlineMs: 15_000, what: "the agents to be online" },
  );
  const seen = await send(gateway.client(SessionService), "one", "hello");
  expect(seen.turn.state).toBe(TurnState.SUCCEEDED);
}, 60_000);

test("a network that swallows everything while it runs: calls fail fast, sidecars live on, and all heals", async () => {
  const sessions = gateway.client(SessionService);
  const before = await send(sessions, "one", "before");
  const pids = (await gateway.client(FleetService).listAgents({})).agents.map(({ status }) => status?.pid);
  await port.swallow();
  await expectDown();
  await port.connect();
  await waitFor(async () => (await get("/health")).status === 200, { deadlineMs: 20_000, what: "/health to be well" });
  const after = await waitFor(() => send(sessions, "one", "after", { sessionId: before.turn.sessionId }), {
    deadlineMs: 15_000,
    what: "an answer",
  });
  expect(after.turn.state).toBe(TurnState.SUCCEEDED);
  expect((await gateway.client(FleetService).listAgents({})).agents.map(({ status }) => status?.pid)).toEqual(pids);
}, 60_000);

test("a skill that can't be fetched since the database is away arrives by itself when it is back", async () => {
  const skills = gateway.client(SkillService);
  const content = Buffer.from("---\nname: patience\ndescription: How to wait.\n---\nARRIVED\n");
  const { digest } = await skills.putBundle({ bundle: { files: [{ path: "SKILL.md", content }] } });
  const agent = async (agentId: string) => (await gateway.client(FleetService).getAgent({ agentId })).agent;
  const isBehind = async (agentId: string): Promise<boolean> => {
    const { appliedGeneration = 0n, desiredGeneration = 0n } = (await agent(agentId))?.status ?? {};
    return appliedGeneration < desiredGeneration;
  };
  const pid = (await agent("one"))?.status?.pid ?? 0;
  expect([await isBehind("one"), await isBehind("two")]).toEqual([false, false]);
  // One of them is told of it before the outage, and comes to it in the middle of it.
  process.kill(pid, "SIGSTOP");
  try {
    await skills.putSkill({ skill: { id: "patience", digest, agents: ["*"] } });
    await waitFor(async () => !(await isBehind("two")), { what: "the other one to have it" });
    expect(await isBehind("one")).toBe(true);
    await port.disconnect();
  } finally {
    process.kill(pid, "SIGCONT");
  }
  const log = join(gateway.home, "sidecars/one/sidecar.log");
  await waitFor(() => readFileSync(log, "utf8").includes("patience"), { what: "it to ask for the files in vain" });
  await expectDown();
  const read = async (agentId: string): Promise<string> =>
    (await send(gateway.client(SessionService), agentId, 'use skill with {"name":"patience"}')).turn.answer;
  await port.connect();
  await waitFor(async () => (await read("one")).includes("ARRIVED"), {
    deadlineMs: 30_000,
    what: "the skill to arrive",
  });
  expect(await read("two")).toContain("ARRIVED");
  expect((await agent("one"))?.status?.pid).toBe(pid);
}, 90_000);

test("an outage in mid-turn and a gateway that starts into it: everything is there when it ends", async () => {
  const sessions = gateway.client(SessionService);
  const before = await send(sessions, "two", "before the outage");
  await port.disconnect();
  await gateway.kill();
  await gateway.startAgain();
  await expectDown();
  await port.connect();
  const after = await waitFor(() => send(sessions, "two", "after the outage", { sessionId: before.turn.sessionId }), {
    deadlineMs: 30_000,
    what: "an answer",
  });
  expect(after.turn.state).toBe(TurnState.SUCCEEDED);
  const { entries } = await sessions.listTranscript({ sessionId: before.turn.sessionId });
  expect(entries.map(({ position }) => Number(position))).toEqual([1, 2, 3, 4]);
}, 60_000);
