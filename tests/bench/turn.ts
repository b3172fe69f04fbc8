import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Agent, request as httpRequest } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { scriptedManifest } from "../fixture/scripted-manifest.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { startModelProcess } from "./children.ts";
import { median, percentile, treeCpuMs } from "./measure.ts";
import type { Measurement } from "./report.ts";

const ANSWER = { text: "The quick brown fox jumps over the lazy dog. ".repeat(4), deltas: 20 };
const TURNS_A_ROUND = 100;
const LOAD_MS = 4000;

interface Timing {
  firstMs: number;
  endMs: number;
}

/** Goal 1: what a turn through gateway and sidecar costs over a direct call of the same model server. */
export async function benchTurn(repeats: number): Promise<Measurement[]> {
  const model = await startModelProcess(ANSWER);
  const fleet = await startFleet({ manifest: scriptedManifest(model.baseUrl, ["one"]) });
  try {
    const direct = directCaller(model.baseUrl);
    // Until the engine has compiled what is hot, on both sides: what is measured is a fleet at work, not one that starts.
    await load(fleet, 16);
    await load(fleet, 16);
    for (let i = 0; i < 300; i++) await direct();
    const added: Timing[] = [];
    const cpu: number[] = [];
    const statements: number[] = [];
    for (let round = 0; round < repeats; round++) {
      const floor: Timing[] = [];
      const seen: Timing[] = [];
      let cpuUsed = 0;
      const before = await statementCount(fleet);
      for (let i = 0; i < TURNS_A_ROUND; i++) floor.push(await direct());
      const cpuBefore = treeCpuMs(fleet.up.pid ?? 0);
      for (let i = 0; i < TURNS_A_ROUND; i++) seen.push(await turn(fleet));
      cpuUsed = treeCpuMs(fleet.up.pid ?? 0) - cpuBefore;
      statements.push(((await statementCount(fleet)) - before) / TURNS_A_ROUND);
      cpu.push(cpuUsed / TURNS_A_ROUND);
      added.push({
        firstMs: median(seen.map(({ firstMs }) => firstMs)) - median(floor.map(({ firstMs }) => firstMs)),
        endMs: median(seen.map(({ endMs }) => endMs)) - median(floor.map(({ endMs }) => endMs)),
      });
    }
    const at16: Load[] = [];
    const at48: Load[] = [];
    for (let round = 0; round < repeats; round++) {
      at16.push(await load(fleet, 16));
      at48.push(await load(fleet, 48));
    }
    const note = `${repeats} rounds of ${TURNS_A_ROUND} turns in turn with direct calls, one at a time`;
    return [
      bound("added to the first token, p50", median(added.map(({ firstMs }) => firstMs)), "ms", "at most", 3, note),
      bound(
        "added to the end, commit included, p50",
        median(added.map(({ endMs }) => endMs)),
        "ms",
        "at most",
        5,
        note,
      ),
      bound(
        "CPU a turn, PostgreSQL included",
        median(cpu),
        "ms",
        "at most",
        5,
        "all processes of the fleet, one turn at a time",
      ),
      bound(
        "CPU a turn at 16 sessions",
        median(at16.map(({ cpuMs }) => cpuMs)),
        "ms",
        "at most",
        5,
        "the same, under load",
      ),
      bound("statements a turn", median(statements), "", "at most", 4, "heartbeats and tasks of that time included"),
      bound(
        "turns/s with 16 sessions",
        median(at16.map(({ rate }) => rate)),
        "/s",
        "at least",
        200,
        `p95 ${median(at16.map(({ p95 }) => p95)).toFixed(0)} ms; the model server and the clients share the two cores`,
      ),
      bound(
        "turns/s with 48 sessions",
        median(at48.map(({ rate }) => rate)),
        "/s",
        "at least",
        0,
        `p95 ${median(at48.map(({ p95 }) => p95)).toFixed(0)} ms`,
      ),
      bound(
        "turns that failed at 16 and 48 sessions",
        [...at16, ...at48].reduce((sum, { failed }) => sum + failed, 0),
        "",
        "at most",
        0,
      ),
    ];
  } finally {
    await fleet.dispose();
    await model.stop();
  }
}

function bound(
  name: string,
  value: number,
  unit: string,
  kind: "at most" | "at least",
  limit: number,
  note = "",
): Measurement {
  return { goal: 1, name, value, unit, bound: { kind, value: limit }, note };
}

/** Calls the model server as the sidecar's provider does: one kept-alive connection, streaming. */
function directCaller(baseUrl: string): () => Promise<Timing> {
  const agent = new Agent({ keepAlive: true });
  const body = JSON.stringify({ model: "model", stream: true, messages: [{ role: "user", content: "hello" }] });
  return () =>
    new Promise((resolve, reject) => {
      const begin = performance.now();
      const call = httpRequest(
        `${baseUrl}/chat/completions`,
        { method: "POST", agent, headers: { "content-type": "application/json" } },
        (response) => {
          let firstMs: number | undefined;
          response.on("data", () => (firstMs ??= performance.now() - begin));
          response.on("end", () => resolve({ firstMs: firstMs ?? 0, endMs: performance.now() - begin }));
        },
      );
      call.on("error", reject);
      call.end(body);
    });
}

async function turn(fleet: RunningFleet, sessionId?: string): Promise<Timing & { ok: boolean; sessionId: string }> {
  const begin = performance.now();
  let firstMs: number | undefined;
  let ok = false;
  let session = "";
  const stream = fleet.clients.sessions.sendMessage({
    agentId: "one",
    message: "hello",
    conversation: sessionId === undefined ? { case: undefined } : { case: "sessionId", value: sessionId },
  });
  for await (const { event } of stream) {
    if (event?.event.case === "textDelta") firstMs ??= performance.now() - begin;
    if (event?.event.case === "turn") {
      ok = event.event.value.state === TurnState.SUCCEEDED;
      session = event.event.value.sessionId;
    }
  }
  return { firstMs: firstMs ?? 0, endMs: performance.now() - begin, ok, sessionId: session };
}

interface Load {
  rate: number;
  p95: number;
  failed: number;
  cpuMs: number;
}

/** Sessions that each send one message after the other; a new session every ten turns, so that histories stay short. */
async function load(fleet: RunningFleet, sessions: number): Promise<Load> {
  const times: number[] = [];
  let failed = 0;
  const cpuBefore = treeCpuMs(fleet.up.pid ?? 0);
  const begin = performance.now();
  const worker = async (): Promise<void> => {
    let sessionId: string | undefined;
    for (let i = 0; performance.now() - begin < LOAD_MS; i++) {
      try {
        const done = await turn(fleet, i % 10 === 0 ? undefined : sessionId);
        sessionId = done.sessionId;
        times.push(done.endMs);
        if (!done.ok) failed += 1;
      } catch {
        failed += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: sessions }, worker));
  const seconds = (performance.now() - begin) / 1000;
  const cpuMs = (treeCpuMs(fleet.up.pid ?? 0) - cpuBefore) / times.length;
  return { rate: times.length / seconds, p95: percentile(times, 0.95), failed, cpuMs };
}

/** The gateway's metrics are made anew at most once in this time. */
const METRICS_AGE_MS = 1100;

/** How many statements the gateway has sent, from its own metrics. */
async function statementCount(fleet: RunningFleet): Promise<number> {
  await pause(METRICS_AGE_MS);
  const token = readFileSync(join(fleet.home, "operator-token"), "utf8").trim();
  const text = await (await fetch(`${fleet.url}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text();
  const line = /^openhermit_database_statements_total(?:\{[^}]*\})? (\S+)/m.exec(text);
  if (line === null) throw new Error("the gateway's metrics do not count statements");
  return Number(line[1]);
}
