import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Event } from "@openhermit/protocol/activity/v1/event";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { TurnState, type Turn } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { readTestConfig } from "../fixture/config.ts";
import { openFiles } from "../fixture/process-load.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { ROOT, startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";
import { send } from "../fixture/send.ts";

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
beforeEach(() => model.always({ text: "fine", deltas: 2 }));

/** Sends a message and returns as soon as the turn is acknowledged. */
async function sendOnly(agentId: string, message: string): Promise<Turn> {
  for await (const { event } of fleet.clients.sessions.sendMessage({ agentId, message })) {
    if (event?.event.case === "turn") return event.event.value;
  }
  throw new Error("the stream carried no turn");
}

async function ended(turnId: string, deadlineMs: number): Promise<Turn> {
  return waitFor(
    async () => {
      const { turn } = await fleet.clients.sessions.getTurn({ turnId }, { timeoutMs: 2000 });
      return turn !== undefined && turn.state >= TurnState.SUCCEEDED ? turn : undefined;
    },
    { deadlineMs, what: `the end of turn ${turnId}` },
  );
}

async function eventsOf(turnId: string): Promise<Event[]> {
  const { events } = await fleet.clients.activity.queryEvents({ filter: { turnId }, pageSize: 1000 });
  return events.map(({ event }) => event).filter((event) => event !== undefined);
}

async function online(agentId: string): Promise<void> {
  await waitFor(
    async () => (await fleet.clients.fleet.getAgent({ agentId })).agent?.status?.state === AgentState.ONLINE,
    { deadlineMs: 30_000, what: `${agentId} to be online` },
  );
}

test("a second sidecar process on one home is refused with a sentence, and the first goes on", async () => {
  const home = join(fleet.home, "sidecars/one");
  const pid = fleet.sidecarPid("one");
  const child = spawn(process.execPath, [join(ROOT, "sidecar/src/main.ts")], {
    env: { PATH: process.env.PATH, OPENHERMIT_GATEWAY_URL: fleet.url, OPENHERMIT_SIDECAR_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const late = setTimeout(() => child.kill("SIGKILL"), 15_000);
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(late);
  expect(code).toBeGreaterThan(0);
  expect(output).toMatch(/already|in use|another|lock/i);
  expect(fleet.sidecarPid("one")).toBe(pid);
  const seen = await send(fleet.clients.sessions, "one", "still the first?");
  expect(seen.turn.state).toBe(TurnState.SUCCEEDED);
  expect(fleet.sidecarPid("one")).toBe(pid);
}, 30_000);

test("a sidecar stopped for longer than its lease: its turns end, late writes count once, and no tool runs twice", async () => {
  model.always(({ body }) => {
    const last = JSON.stringify(body.messages.at(-1));
    if (last.includes("frozen with a tool"))
      return {
        toolCalls: [{ name: "everything__trigger-long-running-operation", arguments: { duration: 3, steps: 1 } }],
      };
    if (last.includes("frozen without")) return { text: "slow answer", deltas: 10, deltaDelayMs: 200 };
    return { text: "fine", deltas: 2 };
  });
  const [tool, plain] = [await sendOnly("one", "frozen with a tool"), await sendOnly("one", "frozen without")];
  await waitFor(async () => (await eventsOf(tool.id)).some(({ detail }) => detail.case === "modelCall"), {
    what: "the step that asks for the tool",
  });
  await waitFor(
    async () => (await fleet.clients.sessions.getTurn({ turnId: plain.id })).turn?.state === TurnState.RUNNING,
    {
      what: "the other turn to run",
    },
  );
  const pid = fleet.sidecarPid("one");
  process.kill(pid, "SIGSTOP");
  const stopped = performance.now();
  try {
    // The other agent does not notice.
    for (let i = 0; i < 5; i++) {
      expect((await send(fleet.clients.sessions, "two", `meanwhile ${i}`)).turn.state).toBe(TurnState.SUCCEEDED);
    }
    await waitFor(
      async () => {
        const { agent } = await fleet.clients.fleet.getAgent({ agentId: "one" });
        return agent?.status?.state === AgentState.UNREACHABLE;
      },
      { deadlineMs: 25_000, what: "the lease to run out" },
    );
    if (readTestConfig().faultRepeats > 1) await delay(25_000 - (performance.now() - stopped));
  } finally {
    try {
      process.kill(pid, "SIGCONT");
    } catch {
      // It was replaced meanwhile.
    }
  }
  const [afterTool, afterPlain] = [await ended(tool.id, 30_000), await ended(plain.id, 30_000)];
  expect([TurnState.SUCCEEDED, TurnState.INTERRUPTED]).toContain(afterTool.state);
  expect(afterPlain.state).toBe(TurnState.SUCCEEDED);
  for (const turn of [afterTool, afterPlain]) {
    const events = await eventsOf(turn.id);
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    expect(events.filter(({ detail }) => detail.case === "turnEnd")).toHaveLength(1);
    expect(events.filter(({ detail }) => detail.case === "messageOut").length).toBeLessThanOrEqual(1);
    const { entries } = await fleet.clients.sessions.listTranscript({ sessionId: turn.sessionId });
    expect(entries.map(({ position }) => Number(position))).toEqual(entries.map((_, i) => i + 1));
  }
  const asked = model.requests.filter(({ body }) =>
    JSON.stringify(body.messages.at(-1)).includes("frozen with a tool"),
  );
  expect(asked).toHaveLength(1);
  await online("one");
  expect((await send(fleet.clients.sessions, "one", "well again?")).turn.state).toBe(TurnState.SUCCEEDED);
}, 90_000);

test.runIf(process.getuid?.() === 0)(
  "a disk that is full under the ledger: turns fail clearly or wait, and all heals when there is space",
  async () => {
    const home = join(fleet.home, "sidecars/two");
    const [files] = [openFiles(fleet.gatewayPid())];
    await fleet.clients.fleet.stopAgent({ agentId: "two" });
    await waitFor(
      async () => (await fleet.clients.fleet.getAgent({ agentId: "two" })).agent?.status?.state === AgentState.STOPPED,
      { deadlineMs: 20_000, what: "the agent to stop" },
    );
    const kept = join(fleet.home, "kept");
    execFileSync("cp", ["-a", home, kept]);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", home]);
    try {
      execFileSync("cp", ["-a", `${kept}/.`, home]);
      await fleet.clients.fleet.startAgent({ agentId: "two" });
      await online("two");
      expect((await send(fleet.clients.sessions, "two", "space enough")).turn.state).toBe(TurnState.SUCCEEDED);
      const filler = join(home, "filler");
      mkdirSync(filler, { recursive: true });
      const fill = (): void => {
        for (let i = 0; i < 64; i++) {
          try {
            writeFileSync(join(filler, `${i}-${Date.now()}`), Buffer.alloc(1024 * 1024));
          } catch {
            return;
          }
        }
      };
      fill();
      let unwell = 0;
      for (let i = 0; i < 12 && unwell === 0; i++) {
        const stop = AbortSignal.timeout(4000);
        const outcome = await send(fleet.clients.sessions, "two", "x".repeat(256 * 1024), { signal: stop }).then(
          ({ turn }) => turn,
          () => undefined,
        );
        if (outcome?.state === TurnState.SUCCEEDED) continue;
        unwell += 1;
        if (outcome?.state === TurnState.FAILED) expect(outcome.error?.message).toMatch(/disk|space|full|write/i);
      }
      expect(unwell).toBe(1);
      // The other agent and the gateway go on; the fleet says what is wrong.
      expect((await send(fleet.clients.sessions, "one", "unharmed?")).turn.state).toBe(TurnState.SUCCEEDED);
      rmSync(filler, { recursive: true });
      const healed = await waitFor(
        async () => {
          const stop = AbortSignal.timeout(4000);
          const seen = await send(fleet.clients.sessions, "two", "space again?", { signal: stop });
          return seen.turn.state === TurnState.SUCCEEDED ? seen : undefined;
        },
        { deadlineMs: 30_000, what: "an answer" },
      );
      expect(healed.turn.answer).toBe("fine");
      // Whatever was accepted has ended: nothing waits for ever.
      const page = await fleet.clients.sessions.listSessions({ agentId: "two", pageSize: 100 });
      for (const session of page.sessions) {
        const { entries } = await fleet.clients.sessions.listTranscript({ sessionId: session.id });
        for (const turnId of new Set(entries.map((entry) => entry.turnId))) await ended(turnId, 20_000);
      }
    } finally {
      await fleet.clients.fleet.stopAgent({ agentId: "two" });
      await waitFor(
        async () =>
          (await fleet.clients.fleet.getAgent({ agentId: "two" })).agent?.status?.state === AgentState.STOPPED,
        { deadlineMs: 20_000, what: "the agent to stop" },
      );
      execFileSync("umount", ["-l", home]);
    }
    await fleet.clients.fleet.startAgent({ agentId: "two" });
    await online("two");
    // Its ledger is an old copy now: the gateway tells it what it has lost.
    expect((await send(fleet.clients.sessions, "two", "on the disk again")).turn.state).toBe(TurnState.SUCCEEDED);
    await waitFor(() => openFiles(fleet.gatewayPid()) <= files + 5, { what: "the gateway to hold no more files" });
  },
  120_000,
);

test("fifty turns leave no more files open in the sidecar", async () => {
  const pid = fleet.sidecarPid("one");
  for (let i = 0; i < 5; i++) await send(fleet.clients.sessions, "one", `before ${i}`);
  const before = openFiles(pid);
  for (let i = 0; i < 50; i++) {
    expect((await send(fleet.clients.sessions, "one", `turn ${i}`)).turn.state).toBe(TurnState.SUCCEEDED);
  }
  expect(fleet.sidecarPid("one")).toBe(pid);
  await waitFor(() => openFiles(pid) <= before + 3, { what: "the sidecar to close its files" });
});
