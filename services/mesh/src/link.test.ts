import { createDatabase, sql, type Database } from "@openhermit/postgres";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import type { AttachRequest, AttachResponse } from "@openhermit/protocol/mesh/v1/link_service";
import { RunTurnSchema } from "@openhermit/protocol/mesh/v1/link_service";
import { SnapshotSchema, type Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { unavailable } from "@openhermit/errors";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { meshMigrations, type MeshPorts } from "./index.ts";
import { startTestGateway, type TestGateway } from "./test/test-gateway.ts";
import { attachRequest, createTestSidecar, endOf, type TestSidecar, type TestStream } from "./test/test-sidecar.ts";

let db: TestDatabase;
let otherDatabase: Database;
let cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  db = await testDatabase([meshMigrations]);
  otherDatabase = createDatabase({ url: db.url, log: testLog(), applicationName: "other gateway" });
});

afterAll(async () => {
  await otherDatabase.end();
  await db.drop();
});

beforeEach(() => {
  cleanups = [];
});

afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
  await db.database.query(sql`DELETE FROM mesh.leases`);
});

interface GatewayOptions {
  other?: boolean;
  heartbeatMs?: number;
  leaseMs?: number;
  ports?: Partial<MeshPorts>;
}

async function startGateway(options: GatewayOptions = {}): Promise<TestGateway> {
  const { other = false, ...rest } = options;
  const gateway = await startTestGateway({
    database: other ? otherDatabase : db.database,
    gatewayId: other ? "gateway-b" : "gateway-a",
    ...rest,
  });
  cleanups.push(() => gateway.stop());
  return gateway;
}

async function joined(gateway: TestGateway, id: string, agentIds = [id]): Promise<TestSidecar> {
  const sidecar = createTestSidecar({ id, url: gateway.url });
  cleanups.push(() => sidecar.close());
  await sidecar.join((await gateway.mesh.createJoinToken(id, agentIds)).joinToken);
  for (const agentId of agentIds) gateway.neighbours.generations.set(agentId, 1n);
  return sidecar;
}

const casesOf = (stream: TestStream<AttachRequest, AttachResponse>): string[] =>
  stream.received.map(({ message }) => message.case ?? "").filter((name) => name !== "ping");

const turn = (turnId: string, agentId: string, message = "hello") =>
  create(RunTurnSchema, { turnId, attempt: 1, agentId, sessionId: "s", message });

test("Welcome, then the snapshots, then turns; each way in the order it was sent", async () => {
  const gateway = await startGateway();
  const { mesh, neighbours } = gateway;
  const sidecar = await joined(gateway, "pool", ["a1", "a2"]);
  neighbours.dead = ["t0"];
  expect(mesh.hasLink("a1")).toBe(false);
  expect(mesh.offerTurn("a1", turn("t1", "a1"))).toBe(false);

  const { stream, welcome } = await sidecar.attached({ turns: [{ turnId: "t0", attempt: 1 }] });
  expect(welcome).toMatchObject({ cursor: 0n, deadTurnIds: ["t0"] });
  expect(neighbours.attached).toMatchObject([{ sidecarId: "pool", agentIds: ["a1", "a2"], epoch: welcome.epoch }]);
  await waitFor(() => neighbours.ready.length === 2, { what: "both agents to be ready" });
  expect(mesh.hasLink("a2")).toBe(true);
  expect(mesh.offerTurn("a2", turn("t1", "a2"))).toBe(true);
  expect(mesh.cancelTurn("a2", "t1", "changed my mind")).toBe(true);
  await waitFor(() => casesOf(stream).includes("cancelTurn"), { what: "the cancellation" });
  expect(casesOf(stream)).toEqual(["welcome", "snapshot", "snapshot", "runTurn", "cancelTurn"]);

  stream.send(attachRequest({ case: "turnAccepted", value: { turnId: "t1", attempt: 1 } }));
  stream.send(attachRequest({ case: "turnAccepted", value: { turnId: "not-mine", attempt: 1 } }));
  stream.send(attachRequest({ case: "applied", value: { agentId: "a1", generation: 1n } }));
  stream.send(attachRequest({ case: "rejected", value: { agentId: "a2", generation: 1n, reason: "no such model" } }));
  await waitFor(() => neighbours.answers.length === 2, { what: "the answers" });
  expect(neighbours.answers).toEqual([
    { agentId: "a1", generation: 1n, rejectedReason: "" },
    { agentId: "a2", generation: 1n, rejectedReason: "no such model" },
  ]);
  expect(neighbours.turnSignals).toEqual(["accepted t1 1"]);

  stream.finish();
  expect(await waitFor(() => stream.ended(), { what: "the end" })).toBe("ok");
  await waitFor(() => neighbours.detached[0], { what: "the detach" });
  expect(neighbours.detached).toMatchObject([{ sidecarId: "pool", epoch: welcome.epoch, reason: "drained" }]);
  expect(mesh.hasLink("a1")).toBe(false);
});

test("a change of all agents of a gateway is one compile, up to 2,000 of them", async () => {
  const gateway = await startGateway();
  const { mesh, neighbours } = gateway;
  const idsOf = (pool: string) => Array.from({ length: 1000 }, (_, i) => `${pool}-${i}`);
  const streams = await Promise.all(
    ["a", "b"].map(async (pool) => (await (await joined(gateway, pool, idsOf(pool))).attached()).stream),
  );
  const snapshots = () => streams.map((stream) => casesOf(stream).filter((name) => name === "snapshot").length);
  await waitFor(() => snapshots().join() === "1000,1000", { what: "the first snapshots" });

  const before = neighbours.compileCalls;
  for (const agentId of neighbours.generations.keys()) neighbours.generations.set(agentId, 2n);
  mesh.refreshSnapshots("all");
  await waitFor(() => snapshots().join() === "2000,2000", { what: "the second snapshots" });
  expect(neighbours.compileCalls - before).toBe(1);
});

test("a sidecar reads the bundles of its own agents' skills, beside Attach and without it", async () => {
  const bundle = Buffer.from(Array.from({ length: 700_000 }, (_, i) => i % 253));
  const asked: string[] = [];
  const gateway = await startGateway({
    ports: {
      async readBundle(agentId, digest) {
        asked.push(`${agentId} ${digest.slice(-1)}`);
        return digest.endsWith("a") ? bundle : undefined;
      },
    },
  });
  const digest = (end: string) => `sha256:${"0".repeat(63)}${end}`;
  const sidecar = await joined(gateway, "pool", ["a1", "a2"]);
  const alone = await sidecar.readBundle("a2", digest("a"));
  expect(Buffer.concat(alone).equals(bundle)).toBe(true);
  expect(alone.map(({ length }) => length)).toEqual([262_144, 262_144, 175_712]);
  expect(gateway.neighbours.attached).toEqual([]);

  const { stream } = await sidecar.attached();
  expect(Buffer.concat(await sidecar.readBundle("a1", digest("a"))).equals(bundle)).toBe(true);
  const refusal = (agentId: string, end: string) =>
    sidecar.readBundle(agentId, digest(end)).then(
      () => "ok",
      (error: unknown) => ConnectError.from(error).metadata.get("reason"),
    );
  expect(await refusal("a1", "b")).toBe("BUNDLE_NOT_FOUND");
  expect(await refusal("somebody-else", "a")).toBe("BUNDLE_NOT_FOUND");
  expect(asked).toEqual(["a2 a", "a1 a", "a1 b"]);
  expect(stream.ended()).toBeUndefined();
});

test("a snapshot that is rejected and then applied after all is told in that order", async () => {
  const gateway = await startGateway();
  const { neighbours } = gateway;
  const sidecar = await joined(gateway, "one");
  const { stream } = await sidecar.attached();
  stream.send(
    attachRequest({ case: "rejected", value: { agentId: "one", generation: 1n, reason: "no such program" } }),
  );
  await waitFor(() => neighbours.answers.length === 1, { what: "the rejection" });
  stream.send(attachRequest({ case: "applied", value: { agentId: "one", generation: 1n } }));
  await waitFor(() => neighbours.answers.length === 2, { what: "the answer after it" });
  expect(neighbours.answers.map(({ rejectedReason }) => rejectedReason)).toEqual(["no such program", ""]);
});

test("only what changed is sent again, and many pokes compile once", async () => {
  const gateway = await startGateway();
  const { mesh, neighbours } = gateway;
  const sidecar = await joined(gateway, "pool", ["a1", "a2"]);
  const { stream } = await sidecar.attached();
  await waitFor(() => neighbours.ready.length === 2, { what: "both agents to be ready" });

  const before = neighbours.compileCalls;
  neighbours.generations.set("a2", 2n);
  for (let i = 0; i < 100; i++) mesh.refreshSnapshots("all");
  await waitFor(() => casesOf(stream).length === 4, { what: "the third snapshot" });
  expect(stream.received.at(-1)?.message.value).toMatchObject({ agentId: "a2", generation: 2n });
  expect(neighbours.compileCalls - before).toBeLessThanOrEqual(2);

  neighbours.generations.delete("a1");
  mesh.refreshSnapshots(["a1"]);
  await waitFor(() => casesOf(stream).at(-1) === "agentRemoved", { what: "the removal" });
  expect(mesh.offerTurn("a1", turn("t9", "a1"))).toBe(false);
  expect(mesh.offerTurn("a2", turn("t9", "a2"))).toBe(true);
});

test("a newer attach ends the older with ABORTED, on the same gateway and on another", async () => {
  const gateway = await startGateway();
  const other = await startGateway({ other: true });
  const sidecar = await joined(gateway, "one");
  const first = await sidecar.attached();
  const second = await sidecar.attached();
  expect(second.welcome.epoch).toBe(first.welcome.epoch + 1n);
  expect(await endOf(first.stream)).toEqual({ code: "Aborted", reason: "EPOCH_SUPERSEDED" });
  expect(gateway.neighbours.detached).toMatchObject([{ epoch: first.welcome.epoch, reason: "replaced" }]);
  expect(gateway.neighbours.attached.map((link) => link.epoch)).toEqual([first.welcome.epoch, second.welcome.epoch]);

  // As after a sidecar was started anew on another host.
  const elsewhere = createTestSidecar({ id: "one", url: other.url });
  cleanups.push(() => elsewhere.close());
  await elsewhere.join((await other.mesh.createJoinToken("one", ["one"])).joinToken);
  const third = await elsewhere.attached();
  expect(await endOf(second.stream)).toEqual({ code: "Aborted", reason: "EPOCH_SUPERSEDED" });
  expect(third.welcome.epoch).toBeGreaterThan(second.welcome.epoch);
  expect(third.stream.ended()).toBeUndefined();
  expect(gateway.mesh.hasLink("one")).toBe(false);
  expect(other.mesh.hasLink("one")).toBe(true);
});

test("twenty attaches at once leave one, the newest", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "storm");
  await sidecar.attached();
  const streams = await Promise.all(Array.from({ length: 20 }, () => sidecar.attach()));
  await waitFor(() => streams.filter((stream) => stream.ended() === undefined).length === 1, { what: "one survivor" });
  const survivor = streams.find((stream) => stream.ended() === undefined);
  await waitFor(() => survivor?.received[0]?.message.case === "welcome", { what: "its Welcome" });
  const { rows } = await db.database.query<{ epoch: bigint }>(
    sql`SELECT epoch FROM mesh.outboxes WHERE sidecar_id = 'storm'`,
  );
  expect(survivor?.received[0]?.message.value).toMatchObject({ epoch: rows[0]?.epoch });
});

test("a broken connection is reported as lost, and the sidecar comes back with a higher epoch", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "one");
  const { stream, welcome } = await sidecar.attached();
  gateway.breakConnections();
  await waitFor(() => stream.ended(), { what: "the end" });
  await waitFor(() => gateway.neighbours.detached[0], { what: "the detach" });
  expect(gateway.neighbours.detached).toMatchObject([{ epoch: welcome.epoch, reason: "lost" }]);
  expect((await sidecar.attached()).welcome.epoch).toBe(welcome.epoch + 1n);
});

test("a sidecar that answers no ping loses its link; one statement a beat renews the others", async () => {
  const gateway = await startGateway({ heartbeatMs: 40, leaseMs: 400 });
  const silent = await joined(gateway, "silent");
  const alive = await Promise.all(["x1", "x2", "x3", "x4"].map((id) => joined(gateway, id)));
  await Promise.all(alive.map((sidecar) => sidecar.attached()));
  silent.answersPings = false;
  const { stream } = await silent.attached();
  expect(await endOf(stream)).toEqual({ code: "Unavailable", reason: "LEASE_LOST" });
  await waitFor(() => gateway.neighbours.detached[0], { what: "the detach" });
  expect(gateway.neighbours.detached).toMatchObject([{ sidecarId: "silent", reason: "lease" }]);
  expect(alive.every(({ id }) => gateway.mesh.hasLink(id))).toBe(true);

  const before = db.database.statementCount();
  const { rows } = await db.database.query<{ lease_until: Date }>(sql`SELECT lease_until FROM mesh.leases LIMIT 1`);
  const leaseUntil = rows[0]?.lease_until.getTime() ?? 0;
  await waitFor(
    async () => {
      const { rows: later } = await otherDatabase.query<{ renewed: boolean }>(
        sql`SELECT bool_and(lease_until > ${new Date(leaseUntil + 200)}) AS renewed FROM mesh.leases`,
      );
      return later[0]?.renewed;
    },
    { what: "all leases to be renewed" },
  );
  // About 5 to 10 beats of renewal and expiry for four sidecars; one statement each would be 40 and more.
  expect(db.database.statementCount() - before).toBeLessThan(35);
});

test("the leases of a gateway that is gone run out, and another gateway reports it", async () => {
  const gateway = await startGateway({ heartbeatMs: 40, leaseMs: 300 });
  await joined(gateway, "orphan", ["o1", "o2"]);
  await db.database.query(sql`
    INSERT INTO mesh.leases VALUES ('orphan', 7, 'gateway-gone', now() - interval '1 second')`);
  await waitFor(() => gateway.neighbours.detached[0], { what: "the report" });
  expect(gateway.neighbours.detached).toEqual([
    { sidecarId: "orphan", agentIds: ["o1", "o2"], epoch: 7n, reason: "lease" },
  ]);
});

test("a lease that was taken for lost while the link lasts is restored and reported", async () => {
  const gateway = await startGateway({ heartbeatMs: 40, leaseMs: 5000 });
  const sidecar = await joined(gateway, "restored");
  const { welcome } = await sidecar.attached();
  await db.database.query(sql`DELETE FROM mesh.leases WHERE sidecar_id = 'restored'`);
  await waitFor(() => gateway.neighbours.attached.length === 2, { what: "the second report" });
  expect(gateway.neighbours.attached[1]).toMatchObject({ sidecarId: "restored", epoch: welcome.epoch });
});

test("a fence that was not heard is found by the next heartbeat", async () => {
  const gateway = await startGateway({ heartbeatMs: 40, leaseMs: 5000 });
  const sidecar = await joined(gateway, "deaf");
  const { stream } = await sidecar.attached();
  await db.database.query(sql`UPDATE mesh.outboxes SET epoch = epoch + 1 WHERE sidecar_id = 'deaf'`);
  expect(await endOf(stream)).toEqual({ code: "Aborted", reason: "EPOCH_SUPERSEDED" });
});

test("drain: no new turn, and done when the sidecar ends its stream; also through another gateway", async () => {
  const gateway = await startGateway();
  const other = await startGateway({ other: true });
  for (const by of [gateway, other]) {
    const sidecar = await joined(gateway, "drained");
    const { stream } = await sidecar.attached();
    await waitFor(() => casesOf(stream).includes("snapshot"), { what: "the snapshot" });
    const drained = by.mesh.drainSidecar("drained", 20_000);
    await waitFor(() => casesOf(stream).includes("drain"), { what: "Drain" });
    expect(gateway.mesh.offerTurn("drained", turn("t", "drained"))).toBe(false);
    stream.finish();
    await drained;
    expect(gateway.mesh.hasLink("drained")).toBe(false);
  }
  const started = performance.now();
  await gateway.mesh.drainSidecar("nobody", 20_000);
  expect(performance.now() - started).toBeLessThan(5000);
});

test("messages out of order and of agents hosted elsewhere end the stream, and only that", async () => {
  const gateway = await startGateway();
  const bystander = await joined(gateway, "bystander");
  const { stream: bystanding } = await bystander.attached();
  const sidecar = await joined(gateway, "bad");

  const twice = await sidecar.attached();
  twice.stream.send(attachRequest({ case: "hello", value: { instanceId: "i", ledgerId: "l" } }));
  expect(await endOf(twice.stream)).toEqual({ code: "InvalidArgument", reason: "HELLO_EXPECTED" });

  const foreign = await sidecar.attached();
  foreign.stream.send(attachRequest({ case: "applied", value: { agentId: "bystander", generation: 9n } }));
  expect(await endOf(foreign.stream)).toEqual({ code: "InvalidArgument", reason: "AGENT_NOT_HOSTED" });
  expect(gateway.neighbours.answers).toEqual([]);
  expect(bystanding.ended()).toBeUndefined();
});

test("a neighbour that fails before Welcome ends the attach, and the next one succeeds", async () => {
  let failures = 1;
  const gateway = await startGateway({
    ports: {
      async reconcileTurns() {
        if (failures-- > 0) throw unavailable("DATABASE_UNAVAILABLE", "away");
        return { deadTurnIds: [] };
      },
    },
  });
  const sidecar = await joined(gateway, "unlucky");
  expect(await endOf(await sidecar.attach())).toEqual({ code: "Unavailable", reason: "DATABASE_UNAVAILABLE" });
  expect(gateway.neighbours.detached).toEqual([]);
  await sidecar.attached();
});

test("while the database is away only the newest report of each subject waits, and it arrives", async () => {
  const reports: string[] = [];
  let away = true;
  const gateway = await startGateway({
    ports: {
      async healthReported(agentId, components) {
        if (away) throw unavailable("DATABASE_UNAVAILABLE", "away");
        reports.push(`${agentId} ${components[0]?.detail}`);
      },
    },
  });
  const sidecar = await joined(gateway, "ill");
  const { stream } = await sidecar.attached();
  for (let i = 1; i <= 50; i++) {
    const components = [{ name: "model", state: HealthState.DOWN, detail: `report ${i}` }];
    stream.send(attachRequest({ case: "healthReport", value: { agentId: "ill", components } }));
  }
  // An answer that comes after all of them shows that they have been read.
  stream.send(attachRequest({ case: "transcriptRequest", value: { sessionId: "s", afterPosition: 0n } }));
  await waitFor(() => casesOf(stream).includes("transcriptPage"), { what: "the page" });
  away = false;
  await waitFor(() => reports.length > 0, { what: "a report" });
  expect(reports).toEqual(["ill report 50"]);
});

test("snapshots that are larger together than the bound wait for the reader, and all arrive", async () => {
  const agentIds = Array.from({ length: 60 }, (_, i) => `big-${i}`);
  const gateway = await startGateway({
    ports: {
      async compileSnapshots(wanted) {
        return wanted.map((agentId) =>
          create(SnapshotSchema, { agentId, generation: 1n, spec: { model: "m/m", instructions: "x".repeat(60_000) } }),
        );
      },
    },
  });
  const sidecar = await joined(gateway, "big", agentIds);
  const { stream } = await sidecar.attached();
  await waitFor(() => gateway.neighbours.ready.length === 60, { what: "all agents to be ready" });
  await waitFor(() => casesOf(stream).length === 61, { what: "all snapshots" });
  expect(new Set(stream.received.slice(1).map(({ message }) => (message.value as Snapshot).agentId)).size).toBe(60);
  expect(stream.ended()).toBeUndefined();
});
