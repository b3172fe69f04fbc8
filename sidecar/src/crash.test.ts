import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { temporaryDirectory, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { spawnSidecar, type SpawnedSidecar } from "./test/spawn-sidecar.ts";
import { endOf, offlineSnapshot, startTestGateway, type TestGateway } from "./test/test-gateway.ts";

let home: TemporaryDirectory;
let gateway: TestGateway;
let running: SpawnedSidecar[] = [];

const spawn = (options: Parameters<typeof spawnSidecar>[2] = {}): SpawnedSidecar => {
  const spawned = spawnSidecar(gateway, home.path, options);
  running.push(spawned);
  return spawned;
};
const scripted = { main: "test/scripted-sidecar-main.ts" } as const;
const hello = (count: number): Promise<unknown> =>
  waitFor(() => gateway.hellos.length >= count && gateway.attached, { what: `attach ${count}` });
const ended = (turnId: string) => waitFor(() => endOf(gateway, turnId), { what: `turn ${turnId} to end` });

beforeEach(async () => {
  home = await temporaryDirectory();
  gateway = await startTestGateway();
  gateway.script.snapshots = [offlineSnapshot(1n)];
});
afterEach(async () => {
  for (const { child, end } of running) if (child.exitCode === null && child.signalCode === null) await end("SIGKILL");
  running = [];
  await gateway.stop();
  await home.remove();
});

test("main.ts runs a turn of the offline model, and ends in good order on SIGTERM", async () => {
  const sidecar = spawn();
  await hello(1);
  const { turnId } = gateway.runTurn({ message: "hello" });
  const end = await ended(turnId);
  expect(end.error).toBeUndefined();
  expect(end.state).toBe(TurnState.SUCCEEDED);
  expect(end.answer).toContain("hello");
  expect(await sidecar.end("SIGTERM")).toBe(0);
  expect(sidecar.output()).not.toContain("Warning");
});

test("every record arrives once and in order, across cut streams, lost acknowledgements and kill -9", async () => {
  const turns: string[] = [];
  let sidecar = spawn(scripted);
  await hello(1);
  for (let round = 0; round < 4; round++) {
    const count = gateway.hellos.length;
    // One session a round, so that a turn that a kill took away is offered again as the gateway would.
    const offer = gateway.runTurn({ message: "steps 2000\nend" });
    turns.push(offer.turnId);
    const stored = gateway.entries.length;
    gateway.script.withholdAcks = round % 2 === 0;
    await waitFor(() => gateway.entries.length > stored + 40, { what: "some records" });
    // Stored but not acknowledged, or received but not stored.
    gateway.script.withholdStores = round % 2 === 1;
    const received = gateway.batches.length;
    if (round % 2 === 1) await waitFor(() => gateway.batches.length > received, { what: "a batch that is not stored" });
    if (round < 2) gateway.cut();
    else {
      await sidecar.end("SIGKILL");
      sidecar = spawn({ ...scripted, join: false });
    }
    gateway.script.withholdAcks = false;
    gateway.script.withholdStores = false;
    await hello(count + 1);
    const known = gateway.hellos.at(-1)?.turns.some((turn) => turn.turnId === offer.turnId) === true;
    if (!known && endOf(gateway, offer.turnId) === undefined) {
      const head = gateway.entries.flatMap(({ body }) =>
        body.case === "transcriptEntry" && body.value.turnId === offer.turnId ? [body.value.position] : [],
      );
      gateway.runTurn({ ...offer, attempt: 2, transcriptHead: head.at(-1) ?? 0n });
    }
    await ended(offer.turnId);
  }
  // The gateway's own check refuses a gap, and drops what it has: what is stored must be all, each once.
  expect(gateway.entries.map(({ sequence }) => Number(sequence))).toEqual(gateway.entries.map((_, index) => index + 1));
  const ids = gateway.entries.flatMap(({ body }) => (body.case === "event" ? [body.value.id] : []));
  expect(new Set(ids).size).toBe(ids.length);
  for (const turnId of turns) {
    const positions = gateway.entries.flatMap(({ body }) =>
      body.case === "transcriptEntry" && body.value.turnId === turnId ? [Number(body.value.position)] : [],
    );
    expect(positions).toEqual(positions.map((_, index) => index + 1));
    expect(positions.length).toBeGreaterThanOrEqual(2002);
    expect(gateway.changes(turnId).filter((change) => change.state === TurnState.SUCCEEDED)).toHaveLength(1);
  }
  // Something was in fact sent twice.
  const sent = gateway.batches.flat().length;
  expect(sent).toBeGreaterThan(gateway.entries.length);
});

test("after a kill a turn whose tool had started ends interrupted; another one is left to be offered again", async () => {
  const sidecar = spawn(scripted);
  await hello(1);
  const tool = gateway.runTurn({ message: "toolhang\nend" });
  const plain = gateway.runTurn({ message: "some text\nhang\nend" });
  await waitFor(() => gateway.changes(tool.turnId).some((change) => change.toolStarted), { what: "the tool" });
  await waitFor(() => gateway.events("modelCall").length === 2, { what: "the step of the other turn" });
  await sidecar.end("SIGKILL");
  spawn({ ...scripted, join: false });
  await hello(2);
  expect(gateway.hellos[1]?.turns.map(({ turnId }) => turnId)).toEqual([tool.turnId]);
  expect(gateway.hellos[1]?.agents).toMatchObject([{ agentId: "one", generation: 1n }]);
  expect(gateway.hellos[1]?.ledgerId).toBe(gateway.hellos[0]?.ledgerId);
  const error = { reason: "TURN_INTERRUPTED" };
  expect(await ended(tool.turnId)).toMatchObject({ state: TurnState.INTERRUPTED, attempt: 1, error });
  const again = gateway.runTurn({ ...plain, attempt: 2, transcriptHead: 2n, message: "end" });
  expect(await ended(again.turnId)).toMatchObject({ state: TurnState.SUCCEEDED, attempt: 2 });
  // The message of the first attempt is there already.
  expect(gateway.events("messageIn")).toHaveLength(2);
});

test("what a killed sidecar had not sent arrives with the next process, also from a start without the gateway", async () => {
  const first = spawn(scripted);
  await hello(1);
  gateway.script.withholdStores = true;
  const { turnId } = gateway.runTurn({ message: "tool\nthe answer" });
  await waitFor(
    () => gateway.batches.flat().some(({ body }) => body.case === "turnChange" && body.value.answer !== ""),
    {
      what: "the end to be sent",
    },
  );
  await first.end("SIGKILL");
  await gateway.stop();
  gateway.script.withholdStores = false;
  const second = spawn({ ...scripted, join: false });
  await waitFor(() => second.output().includes("link to the gateway lost"), { what: "a start without the gateway" });
  await gateway.start();
  expect(await ended(turnId)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "the answer" });
  // The turn had ended, so it was named until its end was stored.
  expect(gateway.hellos[1]?.turns).toMatchObject([{ turnId, attempt: 1 }]);
});

// A bound of the ledger's file (sidecar.test.ts) runs everywhere; a disk that is really full needs a right to mount one.
const mayMount = process.platform === "linux" && process.getuid?.() === 0;
test.runIf(mayMount)(
  "a disk of 8 MiB that is full: every accepted turn gets its end, and all heals by itself",
  async () => {
    const disk = join(home.path, "disk");
    mkdirSync(disk);
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", disk]).status).toBe(0);
    try {
      const sidecar = spawnSidecar(gateway, disk, scripted);
      running.push(sidecar);
      await hello(1);
      gateway.script.withholdStores = true;
      const refused = (): boolean => gateway.said.some((message) => message.case === "turnRefused");
      while (!refused()) {
        const { turnId } = gateway.runTurn({ message: "steps 20000\nend" });
        const answered = (message: TestGateway["said"][number]): boolean =>
          (message.case === "turnAccepted" || message.case === "turnRefused") && message.value.turnId === turnId;
        await waitFor(() => gateway.said.some(answered), { what: "an answer" });
      }
      gateway.script.withholdStores = false;
      gateway.cut();
      const accepted = gateway.said.flatMap((message) =>
        message.case === "turnAccepted" ? [message.value.turnId] : [],
      );
      expect(accepted.length).toBeGreaterThan(0);
      await waitFor(() => accepted.every((turnId) => endOf(gateway, turnId) !== undefined), { what: "all to end" });
      expect(accepted.map((turnId) => endOf(gateway, turnId)?.state)).toContain(TurnState.FAILED);
      await waitFor(() => sidecar.output().includes("ledger can be written again"), { what: "the ledger to heal" });
      await hello(2);
      expect(await ended(gateway.runTurn({}).turnId)).toMatchObject({ state: TurnState.SUCCEEDED });
      await sidecar.end("SIGTERM");
    } finally {
      for (const { child, end } of running)
        if (child.exitCode === null && child.signalCode === null) await end("SIGKILL");
      spawnSync("umount", [disk]);
    }
  },
);

test("the end of the lifeline drains the sidecar", async () => {
  const sidecar = spawn();
  await hello(1);
  sidecar.cutLifeline();
  expect(await sidecar.exited).toBe(0);
});

test("a start that can't work says why in one sentence", async () => {
  writeFileSync(join(home.path, "join-token"), randomUUID());
  const refused = spawn({ join: false });
  expect(await refused.exited).toBe(1);
  expect(refused.output()).toContain("the gateway does not know this sidecar's key");

  const first = spawn();
  await hello(1);
  const second = spawn({ join: false });
  expect(await second.exited).toBe(1);
  expect(second.output()).toMatch(/^openhermit-sidecar: another process holds the sidecar's ledger/);
  expect(await first.end("SIGTERM")).toBe(0);

  const unset = spawn({ join: false, env: { OPENHERMIT_GATEWAY_URL: "", OPENHERMIT_LIFELINE_FD: "x" } });
  expect(await unset.exited).toBe(1);
  expect(unset.output()).toContain("OPENHERMIT_GATEWAY_URL is not set");
  expect(unset.output()).toContain("OPENHERMIT_LIFELINE_FD must be a whole number");
});
