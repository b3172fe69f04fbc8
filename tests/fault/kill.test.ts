import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState, type Turn } from "@openhermit/protocol/sessions/v1/session";
import {
  startScriptedModel,
  waitFor,
  type ScriptedAnswer,
  type ScriptedModel,
  type ScriptedRequest,
} from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";
import { send } from "../fixture/send.ts";

const { faultRepeats, slack } = readTestConfig();

const repeats = Array.from({ length: faultRepeats }, (_, i) => i + 1);

let model: ScriptedModel;
let fleet: RunningFleet;
beforeAll(async () => {
  model = await startScriptedModel();
  fleet = await startFleet({ manifest: scriptedManifest(model.baseUrl, ["one", "two"], { everything: true }) });
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  await model.close();
  expect(processesNaming(fleet.home)).toEqual([]);
});

/** What the model answers to a message that contains the key, the first time it is asked. */
const scripts = new Map<string, ScriptedAnswer>();
beforeEach(() => {
  model.always(({ body }) => {
    const last = JSON.stringify(body.messages.at(-1));
    for (const [key, answer] of scripts) {
      if (!last.includes(key)) continue;
      scripts.delete(key);
      return answer;
    }
    return { text: "fine", deltas: 2 };
  });
});
afterEach(async () => {
  for (const agentId of victims.splice(0)) await fleet.clients.fleet.deleteAgent({ agentId });
  await wholeAgain();
}, 60_000);

const ENDED: readonly TurnState[] = [TurnState.SUCCEEDED, TurnState.FAILED, TurnState.CANCELLED, TurnState.INTERRUPTED];

/** Waits until database, gateway and all agents are well. */
async function wholeAgain(deadlineMs = 30_000): Promise<void> {
  await waitFor(
    async () => {
      const { health } = await fleet.clients.health.getFleetHealth({}, { timeoutMs: 2000 });
      return health?.state === HealthState.OK && health.agents.length === 2;
    },
    { deadlineMs, what: "the fleet to be whole" },
  );
}

async function ended(turnId: string, deadlineMs = 30_000): Promise<Turn> {
  return waitFor(
    async () => {
      const { turn } = await fleet.clients.sessions.getTurn({ turnId }, { timeoutMs: 2000 });
      return turn !== undefined && ENDED.includes(turn.state) ? turn : undefined;
    },
    { deadlineMs, what: `the end of turn ${turnId}` },
  );
}

/** Sends a message and returns as soon as the turn is acknowledged, with the rest of the stream unread. */
async function sendOnly(agentId: string, message: string, sessionId?: string): Promise<Turn> {
  const stream = fleet.clients.sessions.sendMessage({
    agentId,
    message,
    conversation: sessionId === undefined ? { case: undefined } : { case: "sessionId", value: sessionId },
  });
  for await (const { event } of stream) {
    if (event?.event.case === "turn") return event.event.value;
  }
  throw new Error("the stream carried no turn");
}

/** An agent of its own for a scenario that crashes it: an agent that keeps crashing is restarted later and later. */
async function victim(name: string): Promise<string> {
  const agent = { id: name, spec: { model: "scripted/model" } };
  await fleet.clients.fleet.createAgent({ agent });
  await waitFor(
    async () => (await fleet.clients.fleet.getAgent({ agentId: name })).agent?.status?.state === AgentState.ONLINE,
    { what: `agent ${name} to be online`, deadlineMs: 20_000 },
  );
  victims.push(name);
  return name;
}

const victims: string[] = [];

async function eventsOf(turnId: string): Promise<Event[]> {
  const { events } = await fleet.clients.activity.queryEvents({ filter: { turnId }, pageSize: 1000 });
  return events.map(({ event }) => event).filter((event) => event !== undefined);
}

const requestsOf = (text: string): ScriptedRequest[] =>
  model.requests.filter(({ body }) => JSON.stringify(body.messages.at(-1)).includes(text));

/** The events and the transcript of an ended turn are there exactly once. */
async function expectOnce(turn: Turn, options: { attempts?: number } = {}): Promise<void> {
  const events = await eventsOf(turn.id);
  expect(new Set(events.map((event) => event.id)).size).toBe(events.length);
  const count = (kind: Event["detail"]["case"]): number => events.filter((event) => event.detail.case === kind).length;
  expect(count("messageIn")).toBeGreaterThanOrEqual(1);
  expect(count("messageIn")).toBeLessThanOrEqual(options.attempts ?? 1);
  expect(count("messageOut")).toBe(turn.state === TurnState.SUCCEEDED ? 1 : 0);
  expect(count("turnEnd")).toBe(1);
  const { entries } = await fleet.clients.sessions.listTranscript({ sessionId: turn.sessionId, pageSize: 1000 });
  expect(entries.map(({ position }) => Number(position))).toEqual(entries.map((_, i) => i + 1));
  const said = entries.filter((entry) => entry.turnId === turn.id && entry.entry.case === "userMessage");
  expect(said).toHaveLength(1);
}

test.each(repeats)(
  "kill -9 of a sidecar while its model answers: the turn completes on the next one (%i)",
  async (i) => {
    const text = `sidecar killed in the model call ${i}`;
    scripts.set(text, { hang: { afterDeltas: 1 }, text: "never ends", deltas: 3 });
    const agent = await victim(`answering-${i}`);
    const turn = await sendOnly(agent, text);
    await waitFor(() => requestsOf(text)[0], { what: "the model call" });
    const killed = fleet.sidecarPid(agent);
    process.kill(killed, "SIGKILL");
    const begin = performance.now();
    await waitFor(
      async () => {
        const { agent: seen } = await fleet.clients.fleet.getAgent({ agentId: agent });
        return seen?.status?.state === AgentState.ONLINE && seen.status.pid !== killed;
      },
      { deadlineMs: 5000 * slack, what: "the agent to be online again" },
    );
    expect(performance.now() - begin).toBeLessThan(5000 * slack);
    const after = await ended(turn.id);
    expect(after.state).toBe(TurnState.SUCCEEDED);
    expect(after.attempt).toBe(2);
    await expectOnce(after, { attempts: 2 });

    const next = await send(fleet.clients.sessions, agent, `what did I say ${i}`, { sessionId: turn.sessionId });
    expect(next.turn.state).toBe(TurnState.SUCCEEDED);
    const context = JSON.stringify(requestsOf(`what did I say ${i}`)[0]?.body.messages);
    expect(context).toContain(text);
    expect(context).toContain("fine");
  },
  60_000,
);

test.each(repeats)(
  "kill -9 of a sidecar after a tool had started: interrupted, and the tool is not run again (%i)",
  async (i) => {
    const text = `sidecar killed in the tool call ${i}`;
    scripts.set(text, {
      toolCalls: [{ name: "everything__trigger-long-running-operation", arguments: { duration: 30, steps: 3 } }],
    });
    const agent = await victim(`working-${i}`);
    const turn = await sendOnly(agent, text);
    await waitFor(async () => (await eventsOf(turn.id)).some((event) => event.detail.case === "modelCall"), {
      what: "the step that asks for the tool",
    });
    process.kill(fleet.sidecarPid(agent), "SIGKILL");
    const after = await ended(turn.id);
    expect(after.state).toBe(TurnState.INTERRUPTED);
    expect(after.error?.message).not.toBe("");
    expect(requestsOf(text)).toHaveLength(1);
    await expectOnce(after);
    const next = await send(fleet.clients.sessions, agent, `go on ${i}`, { sessionId: turn.sessionId });
    expect(next.turn.state).toBe(TurnState.SUCCEEDED);
  },
  60_000,
);

test.each(repeats)(
  "kill -9 of the gateway in mid-stream: the sidecars go on and the turn completes once (%i)",
  async (i) => {
    const text = `gateway killed ${i}`;
    scripts.set(text, { text: "a long answer that takes its time", deltas: 30, deltaDelayMs: 100 });
    const pids = [fleet.sidecarPid("one"), fleet.sidecarPid("two")];
    const turn = await sendOnly("one", text);
    await waitFor(() => requestsOf(text)[0], { what: "the model call" });
    const gateway = fleet.gatewayPid();
    process.kill(gateway, "SIGKILL");
    await waitFor(() => fleet.gatewayPid() !== gateway, { what: "the next gateway", deadlineMs: 20_000 });
    await wholeAgain();
    const after = await ended(turn.id);
    expect(after.state).toBe(TurnState.SUCCEEDED);
    expect(after.answer).toBe("a long answer that takes its time");
    expect(after.attempt).toBe(1);
    expect(requestsOf(text)).toHaveLength(1);
    await expectOnce(after);
    expect([fleet.sidecarPid("one"), fleet.sidecarPid("two")]).toEqual(pids);
  },
  90_000,
);

function postmaster(): number {
  const found = processesNaming(fleet.home).find(({ command }) => /bin\/postgres /.test(command));
  if (found !== undefined) return found.pid;
  // As root the server and its data live elsewhere; the home says where.
  const text = execFileSync("sh", ["-c", `cat ${join(fleet.home, "postgres")}/*.json`], { encoding: "utf8" });
  const directory = /"(\/var\/lib\/openhermit[^"]*)"/.exec(text)?.[1] ?? join(fleet.home, "postgres");
  const pidFile = execFileSync("find", [directory, "-name", "postmaster.pid"], { encoding: "utf8" }).trim();
  return Number(readFileSync(pidFile, "utf8").split("\n")[0]);
}

test.each(repeats)(
  "kill -9 of PostgreSQL in mid-turn: nobody exits, the turn completes once (%i)",
  async (i) => {
    const text = `database killed ${i}`;
    scripts.set(text, { text: "an answer while the database is away", deltas: 20, deltaDelayMs: 100 });
    const pids = [fleet.gatewayPid(), fleet.sidecarPid("one"), fleet.sidecarPid("two")];
    const turn = await sendOnly("one", text);
    await waitFor(() => requestsOf(text)[0], { what: "the model call" });
    process.kill(postmaster(), "SIGKILL");
    await wholeAgain();
    const after = await ended(turn.id);
    expect(after.state).toBe(TurnState.SUCCEEDED);
    expect(after.answer).toBe("an answer while the database is away");
    await expectOnce(after);
    expect([fleet.gatewayPid(), fleet.sidecarPid("one"), fleet.sidecarPid("two")]).toEqual(pids);
  },
  90_000,
);

test("48 turns in flight when everything is killed: each acknowledged turn is there and ends", async () => {
  model.always({ text: "slow", deltas: 10, deltaDelayMs: 200 });
  const turns = await Promise.all(
    Array.from({ length: 48 }, (_, i) => sendOnly(i % 2 === 0 ? "one" : "two", `in flight ${i}`)),
  );
  const killed = [fleet.gatewayPid(), fleet.sidecarPid("one"), fleet.sidecarPid("two")];
  for (const pid of killed) process.kill(pid, "SIGKILL");
  await waitFor(() => fleet.gatewayPid() !== killed[0], { what: "the next gateway", deadlineMs: 20_000 });
  await wholeAgain();
  const after = await Promise.all(turns.map(({ id }) => ended(id, 60_000)));
  expect(after.map(({ state }) => state)).toEqual(turns.map(() => TurnState.SUCCEEDED));
  for (const turn of after) await expectOnce(turn, { attempts: 3 });
}, 120_000);
