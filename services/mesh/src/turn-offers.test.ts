import { create } from "@bufbuild/protobuf";
import type { AttachRequest, AttachResponse } from "@openhermit/protocol/mesh/v1/link_service";
import { RunTurnSchema } from "@openhermit/protocol/mesh/v1/link_service";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { meshMigrations } from "./index.ts";
import { startTestGateway, type TestGateway } from "./test/test-gateway.ts";
import { createTestSidecar, endOf, type TestSidecar, type TestStream } from "./test/test-sidecar.ts";
import { MAX_HELD_BYTES } from "./turn-offers.ts";

const BIG = "x".repeat(512 * 1024);

let db: TestDatabase;
let cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  db = await testDatabase([meshMigrations]);
});
afterAll(() => db.drop());
beforeEach(() => {
  cleanups = [];
});
afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
});

async function startGateway(options: { heartbeatMs?: number; leaseMs?: number } = {}): Promise<TestGateway> {
  const gateway = await startTestGateway({ database: db.database, ...options });
  cleanups.push(() => gateway.stop());
  return gateway;
}

interface Reader {
  sidecar: TestSidecar;
  stream: TestStream<AttachRequest, AttachResponse>;
  /** Lets the sidecar read on. */
  resume(): void;
}

/** Attaches a sidecar whose agent is ready, and which reads nothing more until it is told to. */
async function pausedSidecar(gateway: TestGateway, id: string): Promise<Reader> {
  const sidecar = createTestSidecar({ id, url: gateway.url });
  cleanups.push(() => sidecar.close());
  await sidecar.join((await gateway.mesh.createJoinToken(id, [id])).joinToken);
  gateway.neighbours.generations.set(id, 1n);
  const { stream } = await sidecar.attached();
  await waitFor(() => gateway.neighbours.ready.includes(id), { what: `${id} to be ready` });
  await waitFor(() => stream.received.some(({ message }) => message.case === "snapshot"), { what: "the snapshot" });
  let resume = (): void => {};
  sidecar.pause = new Promise((resolve) => (resume = resolve));
  return { sidecar, stream, resume };
}

const turn = (turnId: string, agentId: string, message = BIG, attempt = 1) =>
  create(RunTurnSchema, { turnId, attempt, agentId, sessionId: turnId, message });

/** What was received but Welcome, the snapshot and Pings. */
const received = ({ stream }: Reader): string[] =>
  stream.received.flatMap(({ message }) => {
    if (message.case === "runTurn") return [`${message.value.turnId}@${message.value.attempt}`];
    if (message.case === "cancelTurn") return [`cancel ${message.value.turnId}`];
    return message.case === "drain" ? ["drain"] : [];
  });

test("offers of more than the bound of a stream wait for a slow reader; all arrive once and in order", async () => {
  const gateway = await startGateway({ heartbeatMs: 40 });
  const reader = await pausedSidecar(gateway, "slow");
  const offered = Array.from({ length: 8 }, (_, i) => `t${i}`);
  for (const turnId of offered) expect(gateway.mesh.offerTurn("slow", turn(turnId, "slow"))).toBe(true);
  // Small, and yet not before them.
  expect(gateway.mesh.offerTurn("slow", turn("small", "slow", "hello"))).toBe(true);
  expect(gateway.mesh.hasLink("slow")).toBe(true);

  reader.resume();
  await waitFor(() => received(reader).includes("small@1"), { what: "all offers" });
  expect(received(reader)).toEqual([...offered.map((turnId) => `${turnId}@1`), "small@1"]);
  expect(gateway.neighbours.turnSignals).toEqual([]);
  expect(gateway.neighbours.detached).toEqual([]);
  expect(reader.stream.ended()).toBeUndefined();
});

test("an offer that is repeated while it is held back is sent once, as its newest attempt, at its old place", async () => {
  const gateway = await startGateway();
  const reader = await pausedSidecar(gateway, "repeated");
  for (const turnId of ["t0", "t1", "t2", "t3", "t4"]) gateway.mesh.offerTurn("repeated", turn(turnId, "repeated"));
  expect(gateway.mesh.offerTurn("repeated", turn("t3", "repeated", BIG, 2))).toBe(true);
  reader.resume();
  await waitFor(() => received(reader).includes("t4@1"), { what: "the last offer" });
  expect(received(reader)).toEqual(["t0@1", "t1@1", "t2@1", "t3@2", "t4@1"]);
});

test("a turn that is cancelled while its offer is held back is not sent but given back", async () => {
  const gateway = await startGateway();
  const reader = await pausedSidecar(gateway, "cancelled");
  for (const turnId of ["t0", "t1", "t2", "t3", "t4"]) gateway.mesh.offerTurn("cancelled", turn(turnId, "cancelled"));
  expect(gateway.mesh.cancelTurn("cancelled", "t3", "changed my mind")).toBe(true);
  expect(gateway.neighbours.turnSignals).toEqual(["refused t3 1"]);
  // The first went out at once, so that only the sidecar can end it.
  expect(gateway.mesh.cancelTurn("cancelled", "t0", "changed my mind")).toBe(true);
  reader.resume();
  await waitFor(() => received(reader).includes("t4@1"), { what: "the last offer" });
  expect(received(reader).filter((name) => !name.startsWith("cancel "))).toEqual(["t0@1", "t1@1", "t2@1", "t4@1"]);
  expect(received(reader).filter((name) => name.startsWith("cancel "))).toEqual(["cancel t0"]);
  expect(gateway.neighbours.turnSignals).toEqual(["refused t3 1"]);
});

test("Drain gives back what is held back", async () => {
  const gateway = await startGateway();
  const reader = await pausedSidecar(gateway, "drained");
  for (const turnId of ["t0", "t1", "t2", "t3"]) gateway.mesh.offerTurn("drained", turn(turnId, "drained"));
  const drained = gateway.mesh.drainSidecar("drained", 20_000);
  reader.resume();
  await waitFor(() => received(reader).includes("drain"), { what: "Drain" });
  const sent = received(reader).filter((name) => name !== "drain");
  const refused = gateway.neighbours.turnSignals;
  expect(refused.length).toBeGreaterThan(0);
  expect([...sent, ...refused.map((signal) => `${signal.split(" ")[1]}@1`)]).toEqual(["t0@1", "t1@1", "t2@1", "t3@1"]);
  reader.stream.finish();
  await drained;
});

test("what is held back of a link that ends is not offered on the next one", async () => {
  const gateway = await startGateway();
  const reader = await pausedSidecar(gateway, "again");
  for (const turnId of ["t0", "t1", "t2", "t3"]) gateway.mesh.offerTurn("again", turn(turnId, "again"));
  reader.stream.abort();
  await waitFor(() => gateway.neighbours.detached.length === 1, { what: "the detach" });
  reader.resume();
  reader.sidecar.pause = undefined;
  gateway.neighbours.ready.length = 0;
  const { stream } = await reader.sidecar.attached();
  await waitFor(() => gateway.neighbours.ready.length === 1, { what: "the agent to be ready again" });
  expect(gateway.mesh.offerTurn("again", turn("t9", "again"))).toBe(true);
  const next = { ...reader, stream };
  await waitFor(() => received(next).length > 0, { what: "the new offer" });
  expect(received(next)).toEqual(["t9@1"]);
});

test("a sidecar that does not read takes so many offers and no more, and others are not held up", async () => {
  const gateway = await startGateway();
  const stalled = await pausedSidecar(gateway, "stalled");
  const lively = await pausedSidecar(gateway, "lively");
  lively.resume();
  let taken = 0;
  while (gateway.mesh.offerTurn("stalled", turn(`t${taken}`, "stalled"))) taken += 1;
  const bound = MAX_HELD_BYTES / BIG.length;
  expect(taken).toBeGreaterThanOrEqual(bound);
  expect(taken).toBeLessThanOrEqual(bound + 4);
  expect(gateway.mesh.hasLink("stalled")).toBe(true);
  expect(gateway.mesh.offerTurn("lively", turn("t", "lively"))).toBe(true);
  await waitFor(() => received(lively).includes("t@1"), { what: "the other sidecar's turn" });
  stalled.resume();
  await waitFor(() => received(stalled).length === taken, { what: "what was taken" });
  expect(gateway.neighbours.detached).toEqual([]);
});

test("a sidecar that reads nothing for a lease loses its link", async () => {
  const gateway = await startGateway({ heartbeatMs: 40, leaseMs: 600 });
  const reader = await pausedSidecar(gateway, "dead");
  for (let i = 0; i < 6; i++) expect(gateway.mesh.offerTurn("dead", turn(`t${i}`, "dead"))).toBe(true);
  await waitFor(() => gateway.neighbours.detached[0], { what: "the detach" });
  expect(gateway.neighbours.detached[0]).toMatchObject({ sidecarId: "dead", reason: "lease" });
  expect(gateway.mesh.offerTurn("dead", turn("late", "dead"))).toBe(false);
  reader.resume();
  expect((await endOf(reader.stream)).reason).toBe("LEASE_LOST");
});
