import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { send } from "../fixture/send.ts";

let fleet: RunningFleet;
beforeAll(async () => {
  fleet = await startFleet();
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  expect(processesNaming(fleet.home)).toEqual([]);
});

test("the screen names the url, the login link, the three agents and the next command", () => {
  const screen = fleet.screen();
  expect(screen).toContain(fleet.url);
  expect(screen).toContain("/login?code=");
  for (const agent of ["one", "two", "three"]) expect(screen).toContain(agent);
  expect(screen).toContain("hermit chat one");
});

test("three agents are online, each in a process of its own", async () => {
  const { agents } = await fleet.clients.fleet.listAgents({});
  expect(agents.map((agent) => agent.id)).toEqual(["one", "three", "two"]);
  expect(agents.map((agent) => agent.status?.state)).toEqual(agents.map(() => AgentState.ONLINE));
  const pids = agents.map((agent) => fleet.sidecarPid(agent.id));
  expect(new Set(pids).size).toBe(3);
});

test("hermit chat streams an answer that holds the result of a real MCP tool, and the log shows each step", async () => {
  const chat = await fleet.hermit(["chat", "one", "use echo to say hello"]);
  expect(chat.stderr + chat.stdout).toContain("everything__echo");
  expect(chat.stdout).toMatch(/Echo: hello/);
  expect(chat.code).toBe(0);

  const logs = await fleet.hermit(["logs", "--agent", "one", "-o", "jsonl"]);
  const events = logs.stdout
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { event: Record<string, unknown> }).event);
  const kinds = events
    .map((event) => Object.keys(event).find((key) => ["messageIn", "modelCall", "toolUse", "messageOut"].includes(key)))
    .filter((kind) => kind !== undefined);
  expect(kinds).toEqual(["messageIn", "modelCall", "toolUse", "modelCall", "messageOut"]);
  expect(events.find((event) => "messageIn" in event)).toMatchObject({ messageIn: { sender: "local-operator" } });
});

test("the conversation goes on in the same session, also after a restart of everything", async () => {
  const first = await send(fleet.clients.sessions, "two", "my name is Ada");
  expect(first.turn.state).toBe(TurnState.SUCCEEDED);
  expect(first.text).toBe(first.turn.answer);
  await fleet.startAgain();
  const second = await send(fleet.clients.sessions, "two", "and again", { sessionId: first.turn.sessionId });
  expect(second.turn.state).toBe(TurnState.SUCCEEDED);
  const { entries } = await fleet.clients.sessions.listTranscript({ sessionId: first.turn.sessionId });
  expect(entries.map((entry) => entry.entry.case)).toEqual([
    "userMessage",
    "assistantMessage",
    "userMessage",
    "assistantMessage",
  ]);
  expect(entries.map((entry) => Number(entry.position))).toEqual([1, 2, 3, 4]);
}, 90_000);

test("a second up on the same home says so and changes nothing", async () => {
  const second = await fleet.hermit(["up", "--home", fleet.home, "--listen", "127.0.0.1:0"]);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(String(fleet.up.pid));
  expect(second.stderr).not.toContain("    at ");
  expect((await fleet.clients.fleet.listAgents({})).agents).toHaveLength(3);
});
