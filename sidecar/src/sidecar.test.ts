import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { HealthState } from "@openhermit/protocol/health/v1/health";
import { RefusalReason } from "@openhermit/protocol/mesh/v1/link_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { temporaryDirectory, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { startTestSidecar, type TestSidecar } from "./test/start-test-sidecar.ts";
import { endOf, offlineSnapshot, startTestGateway, type TestGateway } from "./test/test-gateway.ts";

let home: TemporaryDirectory;
let gateway: TestGateway;
let running: TestSidecar[] = [];

const start = async (...options: [Parameters<typeof startTestSidecar>[2]?]): Promise<TestSidecar> => {
  const started = await startTestSidecar(gateway, home.path, ...options);
  running.push(started);
  return started;
};
const applied = (): Promise<unknown> =>
  waitFor(() => gateway.said.find((message) => message.case === "applied"), { what: "a snapshot to be applied" });
const ended = (turnId: string) => waitFor(() => endOf(gateway, turnId), { what: `turn ${turnId} to end` });

beforeEach(async () => {
  home = await temporaryDirectory();
  gateway = await startTestGateway();
  gateway.script.snapshots = [offlineSnapshot(3n)];
});
afterEach(async () => {
  for (const { sidecar, runtime } of running) {
    runtime.release();
    await sidecar.stop(0);
  }
  running = [];
  await gateway.stop();
  await home.remove();
});

test("joins, attaches, applies, and runs a turn whose record is complete", async () => {
  const { sidecar } = await start();
  await applied();
  expect(existsSync(join(home.path, "join-token"))).toBe(false);
  expect(statSync(join(home.path, "sidecar-key.pem")).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(join(home.path, "sidecar.pid"), "utf8"))).toMatchObject({ pid: process.pid });
  expect(gateway.hellos[0]).toMatchObject({ pid: process.pid, agents: [], turns: [] });

  const { turnId, sessionId } = gateway.runTurn({
    message: "delta abc\ntool\nhi there",
    traceparent: "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
  });
  const end = await ended(turnId);
  expect(end).toMatchObject({ state: TurnState.SUCCEEDED, answer: "hi there", attempt: 1, toolStarted: true });
  const bodies = gateway.entries.map(({ body }) =>
    body.case === "event"
      ? body.value.detail.case
      : body.case === "transcriptEntry"
        ? body.value.entry.case
        : `${body.value?.state}/${body.value?.toolStarted}`,
  );
  expect(bodies).toEqual([
    "3/false",
    "userMessage",
    "messageIn",
    "assistantMessage",
    "modelCall",
    "3/true",
    "toolResult",
    "toolUse",
    "assistantMessage",
    "modelCall",
    "messageOut",
    "turnEnd",
    "4/true",
  ]);
  const positions = gateway.entries.flatMap(({ body }) =>
    body.case === "transcriptEntry" ? [body.value.position] : [],
  );
  expect(positions).toEqual([1n, 2n, 3n, 4n]);
  for (const { body } of gateway.entries) {
    if (body.case !== "event") continue;
    expect(body.value).toMatchObject({ agentId: "one", sessionId, turnId, userId: "someone", channel: "test" });
    expect(body.value.traceId).toBe("0123456789abcdef0123456789abcdef");
  }
  expect(gateway.ephemerals.map(({ body }) => (body.case === "textDelta" ? body.value.text : "")).join("")).toBe("abc");
  expect(gateway.said.filter(({ case: kind }) => kind === "turnAccepted")).toHaveLength(1);

  const next = gateway.runTurn({ sessionId, transcriptHead: 4n, message: "again" });
  await ended(next.turnId);
  const report = await waitFor(() => gateway.said.find((message) => message.case === "healthReport"), {
    what: "health",
  });
  expect(report.value).toMatchObject({ agentId: "one", components: [{ name: "link", state: 1 }, {}, {}] });
  await sidecar.stop();
  expect(existsSync(join(home.path, "sidecar.pid"))).toBe(false);
});

test("a turn is run once, however often and under whatever attempt it is offered", async () => {
  const { runtime } = await start();
  await applied();
  const offer = gateway.runTurn({ message: "tool\nhang\nend" });
  await waitFor(() => gateway.changes(offer.turnId).some((change) => change.toolStarted), {
    what: "the tool to start",
  });
  gateway.runTurn(offer);
  gateway.runTurn({ ...offer, attempt: 2 });
  await waitFor(() => gateway.changes(offer.turnId).some((change) => change.attempt === 2 && change.toolStarted), {
    what: "the turn to go on as attempt 2",
  });
  runtime.release();
  expect(await ended(offer.turnId)).toMatchObject({ state: TurnState.SUCCEEDED, attempt: 2, answer: "end" });
  // The gateway did not see the end of attempt 2 in time.
  gateway.runTurn({ ...offer, attempt: 3 });
  await waitFor(() => gateway.changes(offer.turnId).some((change) => change.attempt === 3), { what: "the end again" });
  expect(endOf(gateway, offer.turnId)).toMatchObject({ state: TurnState.SUCCEEDED, attempt: 3, answer: "end" });
  expect(runtime.ran).toHaveLength(1);
  expect(gateway.events("messageIn")).toHaveLength(1);
  expect(gateway.events("turnEnd")).toHaveLength(1);
  const accepted = gateway.said.flatMap((message) => (message.case === "turnAccepted" ? [message.value.attempt] : []));
  expect(accepted).toEqual([1, 1, 2, 3]);
});

test("refuses what it must not run", async () => {
  const { runtime, sidecar } = await start();
  await applied();
  const refusal = async (turnId: string): Promise<number> => {
    const refused = await waitFor(
      () => gateway.said.find((message) => message.case === "turnRefused" && message.value.turnId === turnId),
      { what: "a refusal" },
    );
    return refused.case === "turnRefused" ? refused.value.reason : 0;
  };
  const first = gateway.runTurn({ message: "hang" });
  expect(await refusal(gateway.runTurn({ sessionId: first.sessionId }).turnId)).toBe(RefusalReason.BUSY);
  expect(await refusal(gateway.runTurn({ agentId: "two" }).turnId)).toBe(RefusalReason.NOT_READY);
  const stopping = sidecar.stop(5000);
  expect(await refusal(gateway.runTurn({}).turnId)).toBe(RefusalReason.DRAINING);
  runtime.release();
  await stopping;
  // What ran was let to its end, and its end was sent before the link was closed.
  expect(endOf(gateway, first.turnId)).toMatchObject({ state: TurnState.SUCCEEDED });
});

test("a cancelled turn ends as cancelled, also when its runtime does not heed it", async () => {
  const { runtime } = await start();
  await applied();
  const heeding = gateway.runTurn({ message: "hang" });
  const deaf = gateway.runTurn({ message: "deaf" });
  await waitFor(() => runtime.ran.length === 2, { what: "both to run" });
  for (const { turnId } of [heeding, deaf]) {
    gateway.send({
      case: "cancelTurn",
      value: { $typeName: "openhermit.mesh.v1.CancelTurn", turnId, reason: "enough" },
    });
  }
  for (const { turnId } of [heeding, deaf]) {
    const error = { reason: "TURN_CANCELLED", message: "enough" };
    expect(await ended(turnId)).toMatchObject({ state: TurnState.CANCELLED, error });
  }
  // The deaf one comes back late: it can't write any more.
  const journal = runtime.ran[1]?.journal;
  expect(() => journal?.failedCall({} as never)).toThrow(/has ended/);
});

test("an older snapshot is not applied, a bad one is rejected and the one before stays", async () => {
  const { runtime } = await start();
  await applied();
  const send = (generation: bigint, model: string): void =>
    gateway.send({ case: "snapshot", value: offlineSnapshot(generation, model) });
  send(2n, "offline/echo");
  send(5n, "bad/model");
  const rejected = await waitFor(() => gateway.said.find((message) => message.case === "rejected"), {
    what: "rejection",
  });
  expect(rejected.value).toMatchObject({ agentId: "one", generation: 5n, reason: "no such model" });
  expect(runtime.generations).toEqual([3n]);
  await ended(gateway.runTurn({}).turnId);
  send(6n, "offline/echo");
  await waitFor(() => runtime.generations.length === 2, { what: "generation 6" });
  await running[0]?.sidecar.stop();
  // The ledger kept the newest applied one, and the next process starts with it while the gateway is away.
  await gateway.stop();
  const second = await start({ joined: true });
  await waitFor(() => second.runtime.generations.length === 1, { what: "the snapshot of the ledger" });
  expect(second.runtime.generations).toEqual([6n]);
  await gateway.start();
  await waitFor(() => gateway.hellos.at(-1)?.agents[0]?.generation === 6n, {
    what: "a Hello with what is in the ledger",
  });
});

test("fetches the part of the transcript that it does not have", async () => {
  const { runtime } = await start();
  await applied();
  const sessionId = "elsewhere";
  const elsewhere = Array.from({ length: 5 }, (_, index) => ({
    $typeName: "openhermit.sessions.v1.TranscriptEntry" as const,
    sessionId,
    turnId: "old",
    position: BigInt(index + 1),
    entry: {
      case: "userMessage" as const,
      value: { $typeName: "openhermit.sessions.v1.UserMessage" as const, text: `message ${index + 1}` },
    },
  }));
  gateway.transcripts.set(sessionId, elsewhere);
  // The first answer is lost with the link.
  gateway.script.answerTranscripts = false;
  const { turnId } = gateway.runTurn({ sessionId, transcriptHead: 5n, message: "and now" });
  await waitFor(() => gateway.said.some((message) => message.case === "transcriptRequest"), { what: "a request" });
  gateway.script.answerTranscripts = true;
  gateway.cut();
  await ended(turnId);
  const history = runtime.ran[0]?.history.map(({ position, entry }) => [
    position,
    entry.case === "userMessage" && entry.value.text,
  ]);
  expect(history).toEqual([
    [1n, "message 1"],
    [2n, "message 2"],
    [3n, "message 3"],
    [4n, "message 4"],
    [5n, "message 5"],
    [6n, "and now"],
  ]);
  const asked = gateway.said.filter((message) => message.case === "transcriptRequest").length;
  await ended(gateway.runTurn({ sessionId, transcriptHead: 7n, message: "more" }).turnId);
  expect(gateway.said.filter((message) => message.case === "transcriptRequest")).toHaveLength(asked);
  expect(runtime.ran[1]?.history).toHaveLength(8);
});

test("a replaced sidecar writes nothing more and ends", async () => {
  const { sidecar, runtime } = await start();
  await applied();
  const { turnId } = gateway.runTurn({ message: "toolhang\nend" });
  await waitFor(() => gateway.changes(turnId).some((change) => change.toolStarted), { what: "the tool to start" });
  const stored = gateway.entries.length;
  gateway.replace();
  expect(await sidecar.ended).toEqual({ reason: "replaced" });
  expect(() => runtime.ran[0]?.journal.failedCall({} as never)).toThrow(/another attempt/);
  expect(gateway.entries).toHaveLength(stored);
  expect(gateway.hellos).toHaveLength(1);
  expect(runtime.closed).toBe(true);
});

test("a second process on the same home is refused", async () => {
  await start();
  await expect(startTestSidecar(gateway, home.path, { joined: true })).rejects.toMatchObject({
    reason: "SIDECAR_ALREADY_RUNNING",
  });
});

test("gets a new token by its key after any time away, and says when the key is not known", async () => {
  const { sidecar } = await start();
  await applied();
  await sidecar.stop();
  const second = await start({ joined: true });
  await waitFor(() => gateway.hellos.length === 2, { what: "a second attach" });
  expect([gateway.joined, gateway.issued]).toEqual([1, 2]);
  await second.sidecar.stop();
  gateway.revoke();
  const third = await start({ joined: true });
  expect(await third.sidecar.ended).toMatchObject({ reason: "refused", error: { reason: "SIDECAR_NOT_JOINED" } });
});

test("a full outbox drops what is only shown, then refuses new turns, and never a record", async () => {
  const { runtime } = await start({ env: { OPENHERMIT_OUTBOX_MAX_BYTES: "65536" } });
  await applied();
  gateway.script.withholdStores = true;
  const first = gateway.runTurn({ message: `big 62000\nhang\ndelta lost\nbig 10000\nend` });
  const report = (state: HealthState): Promise<unknown> =>
    waitFor(
      () =>
        gateway.said.some(
          (message) =>
            message.case === "healthReport" &&
            message.value.components.some((component) => component.name === "outbox" && component.state === state),
        ),
      { what: `the outbox to be reported as ${state}` },
    );
  await report(HealthState.DEGRADED);
  runtime.release();
  await report(HealthState.DOWN);
  const { turnId } = gateway.runTurn({});
  const refused = await waitFor(() => gateway.said.find((message) => message.case === "turnRefused"), {
    what: "refusal",
  });
  expect(refused.value).toMatchObject({ turnId, reason: RefusalReason.OUTBOX_FULL });
  gateway.script.withholdStores = false;
  gateway.cut();
  expect(await ended(first.turnId)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "end" });
  expect(gateway.ephemerals).toEqual([]);
  await waitFor(() => gateway.hellos.length === 2 && gateway.attached, { what: "the second attach" });
  await ended(gateway.runTurn({}).turnId);
});

test("a full disk fails the turns, not the process, and their ends are written when there is room", async () => {
  const { runtime, log } = await start({ env: { OPENHERMIT_LEDGER_MAX_BYTES: String(1024 * 1024) } });
  await applied();
  gateway.script.withholdStores = true;
  const first = gateway.runTurn({ message: "steps 20000\nend" });
  await waitFor(() => log.records().some(({ msg }) => msg === "end of a turn not written"), {
    what: "the disk to be full",
  });
  const { turnId } = gateway.runTurn({});
  const refused = await waitFor(() => gateway.said.find((message) => message.case === "turnRefused"), {
    what: "refusal",
  });
  expect(refused.value).toMatchObject({ turnId, reason: RefusalReason.OUTBOX_FULL });
  expect(refused.case === "turnRefused" && refused.value.detail).toContain(
    "disk that holds the sidecar's ledger is full",
  );
  gateway.script.withholdStores = false;
  gateway.cut();
  expect(await ended(first.turnId)).toMatchObject({ state: TurnState.FAILED });
  await waitFor(() => gateway.hellos.length === 2 && gateway.attached, { what: "the second attach" });
  await ended(gateway.runTurn({}).turnId);
  expect(runtime.ran).toHaveLength(2);
});

test("Drain lets turns end, sends what is left, and ends the sidecar", async () => {
  const { sidecar, runtime } = await start();
  await applied();
  const { turnId } = gateway.runTurn({ message: "hang\nbye" });
  await waitFor(() => runtime.ran.length === 1, { what: "the turn to run" });
  gateway.send({ case: "drain", value: { $typeName: "openhermit.mesh.v1.Drain" } });
  runtime.release();
  expect(await sidecar.ended).toEqual({ reason: "stopped" });
  expect(endOf(gateway, turnId)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "bye" });
});
