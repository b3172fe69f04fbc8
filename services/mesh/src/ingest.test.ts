import { create } from "@bufbuild/protobuf";
import { createDatabase, sql, type Database } from "@openhermit/postgres";
import { PublishRequestSchema, RunTurnSchema } from "@openhermit/protocol/mesh/v1/link_service";
import { OutboxEntrySchema, type OutboxEntry } from "@openhermit/protocol/mesh/v1/outbox";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { meshMigrations, type MeshPorts } from "./index.ts";
import { startTcpProxy, type TcpProxy } from "./test/tcp-proxy.ts";
import { createEntriesTable, startTestGateway, storedEntries, type TestGateway } from "./test/test-gateway.ts";
import {
  acknowledged,
  batch,
  createTestSidecar,
  endOf,
  eventEntries,
  eventEntry,
  opened,
  type TestSidecar,
} from "./test/test-sidecar.ts";

let db: TestDatabase;
let proxy: TcpProxy;
/** Reaches the database through the proxy: the gateways under test use this one. */
let database: Database;
let cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  db = await testDatabase([meshMigrations]);
  await createEntriesTable(db.database);
  const url = new URL(db.url);
  proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.hostname = "127.0.0.1";
  url.port = String(proxy.port);
  database = createDatabase({ url: url.href, log: testLog(), applicationName: "gateway under test" });
});

afterAll(async () => {
  await database.end();
  await proxy.cut();
  await db.drop();
});

beforeEach(() => {
  cleanups = [];
});

afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
  await db.database.query(sql`DELETE FROM public.stored_entries`);
});

async function startGateway(ports: Partial<MeshPorts> = {}): Promise<TestGateway> {
  const gateway = await startTestGateway({ database, ports });
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

const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `e${from + i}`).toSorted();

function entry(sequence: number, body: OutboxEntry["body"]): OutboxEntry {
  return create(OutboxEntrySchema, { sequence: BigInt(sequence), body });
}

const transcript = (sequence: number, turnId: string): OutboxEntry =>
  create(OutboxEntrySchema, {
    sequence: BigInt(sequence),
    body: { case: "transcriptEntry", value: { turnId, sessionId: "session", position: BigInt(sequence) } },
  });

const change = (sequence: number, turnId: string, state: TurnState, attempt = 1): OutboxEntry =>
  create(OutboxEntrySchema, {
    sequence: BigInt(sequence),
    body: { case: "turnChange", value: { turnId, attempt, state } },
  });

test("events, transcript entries and turn changes are stored, then acknowledged, then shown", async () => {
  const gateway = await startGateway();
  const { mesh, neighbours } = gateway;
  const sidecar = await joined(gateway, "one");
  const { welcome } = await sidecar.attached();
  await waitFor(() => neighbours.ready.length > 0, { what: "the agent to be ready" });
  mesh.offerTurn("one", create(RunTurnSchema, { turnId: "turn", attempt: 1, agentId: "one" }));

  const stream = await sidecar.publish(welcome.epoch);
  expect(await opened(stream)).toBe(0n);
  stream.send(batch([eventEntry(1, "one"), transcript(2, "turn"), change(3, "turn", TurnState.RUNNING)]));
  stream.send(batch([change(4, "turn", TurnState.SUCCEEDED)]));
  await acknowledged(stream, 4);
  expect(await storedEntries(db.database, "one")).toEqual(["e1"]);
  expect(await storedEntries(db.database, "session")).toEqual(["turn@2"]);
  expect(await storedEntries(db.database, "turn")).toEqual(["1:3", "1:4"]);
  expect(neighbours.ingested).toEqual(["one e1", "session turn@2", "turn 1:3", "turn 1:4"]);

  // Nothing more can be said about a turn whose end is stored.
  stream.send(batch([transcript(5, "turn")]));
  expect(await endOf(stream)).toEqual({ code: "InvalidArgument", reason: "TURN_NOT_OFFERED" });
});

test("what came meanwhile is the next flush: many sidecars, few statements", async () => {
  const gateway = await startGateway();
  const sidecars = await Promise.all(Array.from({ length: 16 }, (_, i) => joined(gateway, `busy-${i}`)));
  const streams = await Promise.all(
    sidecars.map(async (sidecar) => {
      const { welcome } = await sidecar.attached();
      const stream = await sidecar.publish(welcome.epoch);
      await opened(stream);
      return stream;
    }),
  );
  const before = database.statementCount();
  for (let part = 0; part < 40; part++) {
    streams.forEach((stream, i) => stream.send(batch(eventEntries(part * 25 + 1, part * 25 + 25, `busy-${i}`))));
  }
  await Promise.all(streams.map((stream) => acknowledged(stream, 1000)));
  // 16,000 entries in 640 batches. One statement a flush of about 1,000, and some smaller ones at the start.
  expect(database.statementCount() - before).toBeLessThan(160);
  for (let i = 0; i < 16; i++) expect(await storedEntries(db.database, `busy-${i}`)).toEqual(ids(1, 1000));
});

test("a resend after a reconnect is stored once; a gap and a disorder are refused", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "resender");
  const first = await sidecar.attached();
  const before = await sidecar.publish(first.welcome.epoch);
  before.send(batch(eventEntries(1, 10, "resender")));
  await acknowledged(before, 10);
  gateway.breakConnections();
  await waitFor(() => before.ended(), { what: "the end" });

  const second = await sidecar.attached();
  expect(second.welcome.cursor).toBe(10n);
  const after = await sidecar.publish(second.welcome.epoch);
  expect(await opened(after)).toBe(10n);
  after.send(batch(eventEntries(1, 10, "resender")));
  after.send(batch(eventEntries(8, 15, "resender")));
  after.send(batch(eventEntries(12, 20, "resender")));
  await acknowledged(after, 20);
  expect(await storedEntries(db.database, "resender")).toEqual(ids(1, 20));

  after.send(batch(eventEntries(22, 23, "resender")));
  expect(await endOf(after)).toEqual({ code: "FailedPrecondition", reason: "SEQUENCE_GAP" });
  const again = await sidecar.publish(second.welcome.epoch);
  again.send(batch([eventEntry(21, "resender"), eventEntry(23, "resender")]));
  expect(await endOf(again)).toEqual({ code: "InvalidArgument", reason: "SEQUENCE_INVALID" });
  expect(await storedEntries(db.database, "resender")).toEqual(ids(1, 20));
});

test("a new ledger starts at 1, whatever the old one held", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "lost-disk");
  const first = await sidecar.attached();
  const stream = await sidecar.publish(first.welcome.epoch);
  stream.send(batch(eventEntries(1, 5, "lost-disk")));
  await acknowledged(stream, 5);

  sidecar.ledgerId = "another-ledger";
  const second = await sidecar.attached();
  expect(second.welcome.cursor).toBe(0n);
  const fresh = await sidecar.publish(second.welcome.epoch);
  fresh.send(batch([eventEntry(1, "lost-disk", "new-1"), eventEntry(2, "lost-disk", "new-2")]));
  await acknowledged(fresh, 2);
  expect(await storedEntries(db.database, "lost-disk")).toEqual([...ids(1, 5), "new-1", "new-2"]);
});

test("after a newer attach the older epoch can neither publish nor open Publish, at no gateway", async () => {
  const gateway = await startGateway();
  const otherDatabase = createDatabase({ url: db.url, log: testLog(), applicationName: "other gateway" });
  const other = await startTestGateway({ database: otherDatabase, gatewayId: "gateway-b" });
  cleanups.push(async () => {
    await other.stop();
    await otherDatabase.end();
  });
  const sidecar = await joined(gateway, "zombie");
  const first = await sidecar.attached();
  const stream = await sidecar.publish(first.welcome.epoch);
  stream.send(batch(eventEntries(1, 3, "zombie")));
  await acknowledged(stream, 3);

  // The fence alone, without a word to this gateway: as when its notification is late.
  await db.database.query(sql`UPDATE mesh.outboxes SET epoch = epoch + 1 WHERE sidecar_id = 'zombie'`);
  stream.send(batch(eventEntries(4, 6, "zombie")));
  expect(await endOf(stream)).toEqual({ code: "Aborted", reason: "EPOCH_SUPERSEDED" });
  expect(await storedEntries(db.database, "zombie")).toEqual(ids(1, 3));
  expect(await endOf(await sidecar.publish(first.welcome.epoch))).toEqual({
    code: "Aborted",
    reason: "EPOCH_SUPERSEDED",
  });

  // Announced: the stream at the first gateway ends without writing anything.
  const second = await sidecar.attached();
  const idle = await sidecar.publish(second.welcome.epoch);
  await opened(idle);
  const replacement = createTestSidecar({ id: "zombie", url: other.url });
  cleanups.push(() => replacement.close());
  await replacement.join((await other.mesh.createJoinToken("zombie", ["zombie"])).joinToken);
  const third = await replacement.attached();
  expect(await endOf(idle)).toEqual({ code: "Aborted", reason: "EPOCH_SUPERSEDED" });

  // Publish belongs to the gateway that holds the link.
  const { welcome } = await (await joined(gateway, "elsewhere")).attached();
  expect(await endOf(await replacement.publish(third.welcome.epoch + 5n))).toMatchObject({ reason: "NOT_ATTACHED" });
  expect(welcome.epoch).toBeGreaterThan(0n);
});

test("a sidecar that speaks for others is refused; its neighbours in the same flush are not", async () => {
  const gateway = await startGateway();
  const honest = await joined(gateway, "honest");
  const honestLink = await honest.attached();
  const good = await honest.publish(honestLink.welcome.epoch);
  const liar = await joined(gateway, "liar");
  const { stream: attach, welcome } = await liar.attached();

  const cases: [OutboxEntry, string][] = [
    [eventEntry(1, "honest"), "PermissionDenied AGENT_NOT_HOSTED"],
    [transcript(1, "turn-of-another"), "InvalidArgument TURN_NOT_OFFERED"],
  ];
  let link = { stream: attach, welcome };
  for (const [index, [lie, expected]] of cases.entries()) {
    const stream = await liar.publish(link.welcome.epoch);
    await opened(stream);
    stream.send(batch([lie]));
    good.send(batch(eventEntries(index * 10 + 1, index * 10 + 10, "honest")));
    const { code, reason } = await endOf(stream);
    expect(`${code} ${reason}`).toBe(expected);
    await acknowledged(good, index * 10 + 10);
    if (index === 1) expect(await endOf(link.stream)).toMatchObject({ reason: "TURN_NOT_OFFERED" });
    link = await liar.attached({ turns: [{ turnId: "mine", attempt: 1 }] });
  }
  // The turns of Hello are its own; a state no sidecar may set, and an entry that says nothing, are refused.
  for (const bad of [change(2, "mine", TurnState.QUEUED), entry(2, { case: undefined })]) {
    const stream = await liar.publish(link.welcome.epoch);
    const first = change(1, "mine", TurnState.RUNNING);
    stream.send(batch([first]));
    await acknowledged(stream, 1);
    stream.send(batch([bad]));
    expect(await endOf(stream)).toEqual({ code: "InvalidArgument", reason: "ENTRY_INVALID" });
  }
  expect(await storedEntries(db.database, "liar")).toEqual([]);
  expect(await storedEntries(db.database, "honest")).toEqual(ids(1, 20));
  expect(good.ended()).toBeUndefined();
});

test("an entry the database can't take is found and named; what is before it and what others sent is stored", async () => {
  const gateway = await startGateway();
  const sidecars = await Promise.all(["s1", "s2", "s3"].map((id) => joined(gateway, id)));
  const streams = await Promise.all(
    sidecars.map(async (sidecar) => {
      const { welcome } = await sidecar.attached();
      const stream = await sidecar.publish(welcome.epoch);
      await opened(stream);
      return stream;
    }),
  );
  const [first, bad, third] = streams;
  if (first === undefined || bad === undefined || third === undefined) throw new Error("three streams expected");
  const poisoned = eventEntries(1, 40, "s2");
  poisoned[28] = eventEntry(29, "s2", "no\0good");
  first.send(batch(eventEntries(1, 40, "s1")));
  bad.send(batch(poisoned));
  bad.send(batch(eventEntries(41, 50, "s2")));
  third.send(batch(eventEntries(1, 40, "s3")));
  await Promise.all([acknowledged(first, 40), acknowledged(third, 40), acknowledged(bad, 28)]);
  expect(await endOf(bad)).toEqual({ code: "InvalidArgument", reason: "ENTRY_REFUSED" });
  const ended = bad.ended();
  expect(ended === "ok" ? "" : ended?.rawMessage).toContain('entry 29 of sidecar "s2"');
  expect(await storedEntries(db.database, "s1")).toEqual(ids(1, 40));
  expect(await storedEntries(db.database, "s2")).toEqual(ids(1, 28));
  expect(await storedEntries(db.database, "s3")).toEqual(ids(1, 40));
  first.send(batch(eventEntries(41, 50, "s1")));
  await acknowledged(first, 50);
});

test("a database that is away: nothing is acknowledged early, everything exactly once later", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "patient");
  const { welcome } = await sidecar.attached();
  const stream = await sidecar.publish(welcome.epoch);
  stream.send(batch(eventEntries(1, 10, "patient")));
  await acknowledged(stream, 10);

  await proxy.cut();
  for (let i = 0; i < 30; i++) stream.send(batch(eventEntries(i * 10 + 11, i * 10 + 20, "patient")));
  await waitFor(() => gateway.log.records().some((record) => record["msg"] === "flush failed, retrying"), {
    what: "a flush to fail",
  });
  expect(stream.received.at(-1)?.message.value).toMatchObject({ sequence: 10n });
  expect(await storedEntries(db.database, "patient")).toEqual(ids(1, 10));
  await proxy.heal();
  await acknowledged(stream, 310);
  expect(stream.ended()).toBeUndefined();
  expect(await storedEntries(db.database, "patient")).toEqual(ids(1, 310));
  expect(gateway.neighbours.ingested).toHaveLength(310);
});

test("a flush that was committed but whose answer was lost: stored once, acknowledged, shown once", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "unsure");
  const { welcome } = await sidecar.attached();
  const stream = await sidecar.publish(welcome.epoch);
  await opened(stream);
  proxy.loseAnswers();
  stream.send(batch(eventEntries(1, 5, "unsure")));
  await waitFor(async () => (await storedEntries(db.database, "unsure")).length === 5, { what: "the commit" });
  stream.send(batch(eventEntries(6, 9, "unsure")));
  expect(gateway.neighbours.ingested).toEqual([]);
  await proxy.cut();
  await proxy.heal();
  await acknowledged(stream, 9);
  expect(await storedEntries(db.database, "unsure")).toEqual(ids(1, 9));
  expect(gateway.neighbours.ingested).toEqual(ids(1, 9).map((id) => `unsure ${id}`));
});

test("connections that break under a flush, again and again: exactly once, and shown exactly once", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "survivor");
  const { welcome } = await sidecar.attached();
  const stream = await sidecar.publish(welcome.epoch);
  await opened(stream);
  const total = 4000;
  const newest = (): bigint => {
    const message = stream.received.at(-1)?.message;
    return message?.case === "acknowledged" ? message.value.sequence : 0n;
  };
  let killed = 0;
  for (let from = 1; from <= total; from += 8) {
    stream.send(batch(eventEntries(from, from + 7, "survivor")));
    // Lets the flushes begin, then cuts whatever connection has one.
    if (from % 400 !== 393) continue;
    await waitFor(() => newest() > BigInt(from - 400), { what: "flushes to go on" });
    const { rowCount } = await db.database.query(sql`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'gateway under test' AND query LIKE '%UPDATE mesh.outboxes%'`);
    killed += rowCount;
  }
  expect(killed).toBeGreaterThanOrEqual(5);
  expect(gateway.log.records().some((record) => record["msg"] === "flush failed, retrying")).toBe(true);
  await acknowledged(stream, total);
  expect(await storedEntries(db.database, "survivor")).toEqual(ids(1, total));
  expect(gateway.neighbours.ingested.toSorted()).toEqual(ids(1, total).map((id) => `survivor ${id}`));
});

test("a stream that breaks while its flush waits for the database does not double what it sent", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "twice");
  const first = await sidecar.attached();
  const before = await sidecar.publish(first.welcome.epoch);
  await opened(before);
  await proxy.cut();
  before.send(batch(eventEntries(1, 50, "twice")));
  await waitFor(() => gateway.log.records().some((record) => record["msg"] === "flush failed, retrying"), {
    what: "a flush to fail",
  });
  before.abort();
  await waitFor(() => before.ended(), { what: "the end" });
  await proxy.heal();
  // The old flush is still being tried while the new stream sends the same again.
  const after = await waitFor(
    async () => {
      const stream = await sidecar.publish(first.welcome.epoch);
      await waitFor(() => stream.received.length > 0 || stream.ended(), { what: "an answer" });
      return stream.ended() === undefined ? stream : undefined;
    },
    { what: "Publish to open again" },
  );
  after.send(batch(eventEntries(1, 60, "twice")));
  await acknowledged(after, 60);
  expect(await storedEntries(db.database, "twice")).toEqual(ids(1, 60));
});

test("deltas of offered turns go straight through while a flush hangs; others are dropped", async () => {
  const gateway = await startGateway();
  const { neighbours } = gateway;
  const sidecar = await joined(gateway, "talker");
  const { welcome } = await sidecar.attached({ turns: [{ turnId: "mine", attempt: 1 }] });
  const stream = await sidecar.publish(welcome.epoch);
  await opened(stream);
  await proxy.cut();
  cleanups.push(() => (neighbours.ephemeral.length > 0 ? undefined : proxy.heal()));
  stream.send(batch(eventEntries(1, 5, "talker")));
  const delta = (turnId: string, text: string) => ({
    turnId,
    attempt: 1,
    body: { case: "textDelta" as const, value: { step: 1, text } },
  });
  const items = [delta("mine", "Hel"), delta("of-another", "x"), delta("mine", "lo")];
  stream.send(create(PublishRequestSchema, { message: { case: "ephemeral", value: { items } } }));
  await waitFor(() => neighbours.ephemeral.length > 0, { what: "the deltas" });
  expect(neighbours.ephemeral).toMatchObject([delta("mine", "Hel"), delta("mine", "lo")]);
  expect(stream.received.some(({ message }) => message.case === "acknowledged")).toBe(false);
  await proxy.heal();
  await acknowledged(stream, 5);
});

test("a sidecar that ends Publish gets its last acknowledgement first", async () => {
  const gateway = await startGateway();
  const sidecar = await joined(gateway, "polite");
  const { welcome } = await sidecar.attached();
  const stream = await sidecar.publish(welcome.epoch);
  stream.send(batch(eventEntries(1, 7, "polite")));
  stream.finish();
  expect(await waitFor(() => stream.ended(), { what: "the end" })).toBe("ok");
  expect(stream.received.at(-1)?.message.value).toMatchObject({ sequence: 7n });
});
