import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { ROOT, startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";
import { send, type SeenTurn } from "../fixture/send.ts";

const { slack } = readTestConfig();

const SERVER = join(ROOT, "tests/fixture/odd-mcp-server.ts");
const folder = mkdtempSync(join(tmpdir(), "openhermit-odd-"));
const NOTES = join(folder, "calls");

let model: ScriptedModel;
let fleet: RunningFleet;
beforeAll(async () => {
  writeFileSync(NOTES, "");
  model = await startScriptedModel();
  const mcpServers = [
    "  odd:",
    `    command: ${JSON.stringify(process.execPath)}`,
    `    args: [${JSON.stringify(SERVER)}, ${JSON.stringify(NOTES)}]`,
    "    agents: [one]",
    "  gone:",
    `    command: ${JSON.stringify(process.execPath)}`,
    `    args: ["-e", "process.stderr.write('why\\\\0not'); process.exit(3)"]`,
    "    agents: [one]",
  ].join("\n");
  fleet = await startFleet({ manifest: scriptedManifest(model.baseUrl, ["one", "two"], { mcpServers }) });
  await toolsOf("odd__odd");
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  await model.close();
  rmSync(folder, { recursive: true, force: true });
  expect(processesNaming(fleet.home)).toEqual([]);
  expect(processesNaming(NOTES)).toEqual([]);
});
beforeEach(() => model.always({ text: "fine", deltas: 2 }));

/** Waits until the model is offered the tool. */
async function toolsOf(name: string): Promise<void> {
  await waitFor(
    async () => {
      await send(fleet.clients.sessions, "one", "what tools are there");
      return JSON.stringify(model.requests.at(-1)?.body.tools ?? []).includes(`"${name}"`);
    },
    { deadlineMs: 20_000, what: `the tool ${name}` },
  );
}

async function eventsOf(turnId: string): Promise<Event[]> {
  const { events } = await fleet.clients.activity.queryEvents({ filter: { turnId }, pageSize: 1000 });
  return events.map(({ event }) => event).filter((event) => event !== undefined);
}

/** The turn is stored whole, its outbox goes on, and the other agent has not noticed. */
async function expectStored(seen: SeenTurn, kinds: readonly string[]): Promise<void> {
  expect(seen.turn.error?.message ?? "").toBe("");
  expect(seen.turn.state).toBe(TurnState.SUCCEEDED);
  const events = await eventsOf(seen.turn.id);
  expect(events.map(({ detail }) => String(detail.case)).toSorted()).toEqual([...kinds].toSorted());
  for (const agent of ["one", "two"]) {
    const next = await send(fleet.clients.sessions, agent, "and now?");
    expect(next.turn.state).toBe(TurnState.SUCCEEDED);
  }
}

test("a tool result with NUL, lone surrogates and control characters is stored, and nothing is blocked", async () => {
  model.enqueue({ toolCalls: [{ name: "odd__odd", arguments: { why: "nul \0 and \ud800" } }] }, { text: "seen" });
  const seen = await send(fleet.clients.sessions, "one", "say something odd");
  await expectStored(seen, ["messageIn", "modelCall", "toolUse", "modelCall", "messageOut", "turnEnd"]);
  const { entries } = await fleet.clients.sessions.listTranscript({ sessionId: seen.turn.sessionId });
  const result = entries.find(({ entry }) => entry.case === "toolResult")?.entry.value;
  expect(result).toMatchObject({ name: "odd__odd", isError: false });
  expect(JSON.stringify(result?.$typeName === "openhermit.sessions.v1.ToolResult" ? result.text : "")).toContain(
    "nul:",
  );
  const found = await fleet.clients.activity.queryEvents({ filter: { agentId: "one", text: "bom:" } });
  expect(found.events).toHaveLength(1);
  // Later turns of the session send it to the model again.
  const next = await send(fleet.clients.sessions, "one", "go on", { sessionId: seen.turn.sessionId });
  expect(next.turn.state).toBe(TurnState.SUCCEEDED);
  expect(JSON.stringify(model.requests.at(-1)?.body.messages)).toContain("nul:");
}, 30_000);

test("an answer with NUL and half characters is stored, and streams as it is stored", async () => {
  // Cut into deltas of one UTF-16 unit, so that each half of a character comes alone.
  const text = "a\0b \u{1f600} \ud800 end";
  model.enqueue({ text, deltas: text.length, reasoning: "hm \0 \udc00" });
  const seen = await send(fleet.clients.sessions, "one", "answer oddly");
  await expectStored(seen, ["messageIn", "modelCall", "messageOut", "turnEnd"]);
  const { turn } = await fleet.clients.sessions.getTurn({ turnId: seen.turn.id });
  expect(turn?.answer.startsWith("a")).toBe(true);
  expect(turn?.answer.endsWith("end")).toBe(true);
  expect(turn?.answer).toContain("b \u{1f600} ");
  expect(turn?.answer.isWellFormed()).toBe(true);
});

test("odd names and arguments of tool calls, odd errors of a model: a clear end, stored", async () => {
  model.enqueue(
    { toolCalls: [{ name: "no\0such", arguments: "{not json \0" }] },
    { toolCalls: [{ name: "odd__odd", arguments: '{"deep":'.repeat(2000) + "1" + "}".repeat(2000), id: "call \0" }] },
    { text: "done" },
  );
  const seen = await send(fleet.clients.sessions, "one", "call oddly");
  expect(seen.turn.state).toBe(TurnState.SUCCEEDED);
  expect((await eventsOf(seen.turn.id)).filter(({ detail }) => detail.case === "toolUse")).toHaveLength(2);
  model.enqueue({ status: 400, text: "the model says \0 no \ud800" });
  const failed = await send(fleet.clients.sessions, "one", "fail oddly");
  expect(failed.turn.state).toBe(TurnState.FAILED);
  const { turn } = await fleet.clients.sessions.getTurn({ turnId: failed.turn.id });
  expect(turn?.error?.message).toContain("the model says");
  expect((await send(fleet.clients.sessions, "two", "unharmed?")).turn.state).toBe(TurnState.SUCCEEDED);
});

test("a server that says NUL while it dies is named in the health, which stays current", async () => {
  const component = await waitFor(
    async () => {
      const { health } = await fleet.clients.health.getFleetHealth({});
      const one = health?.agents.find(({ agentId }) => agentId === "one");
      return one?.components.find(({ name, state }) => name === "mcp:gone" && state !== HealthState.OK);
    },
    { what: "the health of the server that is gone" },
  );
  expect(component.detail).toMatch(/why.?not|exit|code 3/);
});

test("an MCP server killed -9 in the middle of a call: an error for the model, one call, and the server comes back", async () => {
  const before = readFileSync(NOTES, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("die ")).length;
  model.enqueue({ toolCalls: [{ name: "odd__die", arguments: {} }] }, { text: "it died" });
  const begin = performance.now();
  const seen = await send(fleet.clients.sessions, "one", "kill the server");
  expect(performance.now() - begin).toBeLessThan(10_000 * slack);
  expect(seen.turn.state).toBe(TurnState.SUCCEEDED);
  expect(seen.turn.answer).toBe("it died");
  const use = (await eventsOf(seen.turn.id)).find(({ detail }) => detail.case === "toolUse")?.detail;
  expect(use?.value).toMatchObject({ isError: true });
  const dead = readFileSync(NOTES, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("die "));
  expect(dead.length).toBe(before + 1);
  expect(existsSync(`/proc/${dead.at(-1)?.split(" ")[1]}`)).toBe(false);
  await waitFor(
    async () => {
      model.enqueue({ toolCalls: [{ name: "odd__odd", arguments: {} }] }, { text: "again" });
      const next = await send(fleet.clients.sessions, "one", "is it back");
      const again = (await eventsOf(next.turn.id)).find(({ detail }) => detail.case === "toolUse")?.detail;
      return again?.case === "toolUse" && !again.value.isError;
    },
    { deadlineMs: 15_000, what: "the server to be back" },
  );
}, 40_000);

test("a changed list of tools is offered with the next message", async () => {
  model.enqueue({ toolCalls: [{ name: "odd__grow", arguments: {} }] }, { text: "grown" });
  expect((await send(fleet.clients.sessions, "one", "grow")).turn.state).toBe(TurnState.SUCCEEDED);
  await toolsOf("odd__grown");
  model.enqueue({ toolCalls: [{ name: "odd__grown", arguments: {} }] }, { text: "used" });
  const used = await send(fleet.clients.sessions, "one", "use it");
  expect(used.turn.state).toBe(TurnState.SUCCEEDED);
  expect(readFileSync(NOTES, "utf8")).toContain("grown ");
});
