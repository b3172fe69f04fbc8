import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState, type Turn } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { processesNaming } from "../fixture/processes-left.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";

let model: ScriptedModel;
let fleet: RunningFleet;
beforeAll(async () => {
  model = await startScriptedModel({ always: { text: "slow but sure", deltas: 5, deltaDelayMs: 60 } });
  fleet = await startFleet({ manifest: scriptedManifest(model.baseUrl, ["one", "two"]) });
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  await model.close();
  expect(processesNaming(fleet.home)).toEqual([]);
});

/** Sends until the turn is acknowledged, or returns undefined when the gateway went away before. */
async function acknowledged(request: {
  agentId: string;
  message: string;
  requestId: string;
  sessionId?: string;
}): Promise<Turn | undefined> {
  const { sessionId, ...rest } = request;
  const conversation = sessionId === undefined ? { case: undefined } : { case: "sessionId" as const, value: sessionId };
  try {
    for await (const { event } of fleet.clients.sessions.sendMessage(
      { ...rest, conversation },
      { timeoutMs: 20_000 },
    )) {
      if (event?.event.case === "turn") return event.event.value;
    }
  } catch {
    // The gateway was killed: nothing is known.
  }
  return undefined;
}

async function killGateway(): Promise<void> {
  const gateway = fleet.gatewayPid();
  process.kill(gateway, "SIGKILL");
  await waitFor(() => fleet.gatewayPid() !== gateway, { what: "the next gateway", deadlineMs: 20_000 });
}

async function whole(): Promise<void> {
  await waitFor(
    async () => (await fleet.clients.health.getFleetHealth({}, { timeoutMs: 2000 })).health?.state === HealthState.OK,
    { deadlineMs: 30_000, what: "the fleet to be whole" },
  );
}

async function ended(turnId: string): Promise<Turn> {
  return waitFor(
    async () => {
      const { turn } = await fleet.clients.sessions.getTurn({ turnId }, { timeoutMs: 2000 });
      return turn !== undefined && turn.state >= TurnState.SUCCEEDED ? turn : undefined;
    },
    { deadlineMs: 60_000, what: `the end of turn ${turnId}` },
  );
}

test("50 sends with 5 request ids while the gateway is killed: one turn for each id, and it ends once", async () => {
  const ids = Array.from({ length: 5 }, () => randomUUID());
  const sends = Array.from({ length: 50 }, (_, i) => {
    const n = i % 5;
    return acknowledged({ agentId: n % 2 === 0 ? "one" : "two", message: `request ${n}`, requestId: ids[n] as string });
  });
  await Promise.race(sends);
  await killGateway();
  const first = (await Promise.all(sends)).filter((turn) => turn !== undefined);
  expect(first.length).toBeGreaterThanOrEqual(1);
  await whole();
  // Whoever got no answer sends again, and whoever did as well.
  const again = await Promise.all(
    ids.map((requestId, n) =>
      acknowledged({ agentId: n % 2 === 0 ? "one" : "two", message: `request ${n}`, requestId }),
    ),
  );
  expect(again.every((turn) => turn !== undefined)).toBe(true);
  const turns = new Map([...first, ...again].map((turn) => [turn?.id ?? "", turn]));
  expect(turns.size).toBe(5);
  for (const turnId of turns.keys()) {
    const turn = await ended(turnId);
    expect(turn.state).toBe(TurnState.SUCCEEDED);
    const { events } = await fleet.clients.activity.queryEvents({ filter: { turnId }, pageSize: 100 });
    const kinds = events.map(({ event }) => event?.detail.case);
    expect(kinds.filter((kind) => kind === "turnEnd")).toHaveLength(1);
    expect(kinds.filter((kind) => kind === "messageOut")).toHaveLength(1);
  }
  for (let n = 0; n < 5; n++) {
    const calls = model.requests.filter(({ body }) => JSON.stringify(body.messages.at(-1)).includes(`request ${n}`));
    expect(calls).toHaveLength(1);
  }
}, 120_000);

test("messages of one session keep their order through a kill of the gateway and of its sidecar", async () => {
  const sessionId =
    (await acknowledged({ agentId: "one", message: "begin", requestId: randomUUID() }))?.sessionId ?? "";
  const order: Turn[] = [];
  for (let i = 0; i < 12; i++) {
    if (i === 4) await killGateway();
    if (i === 8) process.kill(fleet.sidecarPid("one"), "SIGKILL");
    const requestId = randomUUID();
    const turn = await waitFor(() => acknowledged({ agentId: "one", message: `in line ${i}.`, requestId, sessionId }), {
      deadlineMs: 30_000,
      what: `message ${i} to be taken`,
    });
    order.push(turn);
  }
  await whole();
  const ends = await Promise.all(order.map(({ id }) => ended(id)));
  expect(ends.map(({ state }) => state)).toEqual(ends.map(() => TurnState.SUCCEEDED));
  const { entries } = await fleet.clients.sessions.listTranscript({ sessionId, pageSize: 1000 });
  expect(entries.map(({ position }) => Number(position))).toEqual(entries.map((_, i) => i + 1));
  const said = entries.flatMap(({ entry }) => (entry.case === "userMessage" ? [entry.value.text] : []));
  expect(said).toEqual(["begin", ...order.map((_, i) => `in line ${i}.`)]);
  // Each turn ends before the next begins.
  const owners = entries.map(({ turnId }) => turnId).filter((turnId, i, all) => turnId !== all[i - 1]);
  expect(new Set(owners).size).toBe(owners.length);
}, 120_000);
