import { create } from "@bufbuild/protobuf";
import { setTimeout as delay } from "node:timers/promises";
import { createDatabase, type Database } from "@openhermit/postgres";
import { EventFilterSchema, TailEventsRequestSchema } from "@openhermit/protocol/activity/v1/activity_service";
import { testCaller, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { activityMigrations } from "./activity-service.ts";
import { toQuery } from "./event-query.ts";
import { insertEvents, readAfter, type LogEntry } from "./event-store.ts";
import { pageEndOf } from "./page-token.ts";
import { encodeCursor } from "./place.ts";
import { createTailHub, type TailHub } from "./tail-hub.ts";
import { tailLog } from "./tail-log.ts";
import { sampleEvent, textOf } from "./test/sample-event.ts";

let db: TestDatabase;
let hub: TailHub;
let stop: AbortController;
const everything = testCaller().agents;
beforeEach(async () => {
  db = await testDatabase([activityMigrations]);
  stop = new AbortController();
  hub = createTailHub({
    read: (after, limit) => readAfter(db.database, toQuery(undefined, everything), after, limit),
    log: testLog(),
  });
});
afterEach(async () => {
  stop.abort();
  await hub.close();
  await db.drop();
});

const store = (database: Database, ...texts: string[]) =>
  database.query(
    insertEvents(
      texts.map((text) => sampleEvent(text)),
      "test",
    ),
  );
const tail = (cursor?: string, signal = stop.signal, reach = everything) =>
  tailLog(
    db.database,
    hub,
    { start: cursor === undefined ? { case: undefined } : { case: "afterCursor", value: cursor } },
    reach,
    signal,
  );
const BEGINNING = encodeCursor({ tx: 0n, position: 0n });

test("nothing of a younger transaction is shown before an older one has ended, and then all, once, in order", async () => {
  const seen: string[] = [];
  const reader = (async () => {
    for await (const entries of tail(BEGINNING)) seen.push(...entries.map(({ event }) => textOf(event)));
  })();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const { promise: inserted, resolve: isInserted } = Promise.withResolvers<void>();
  const older = db.database.transaction(async (tx) => {
    await tx.query(insertEvents([sampleEvent("older")], "test"));
    isInserted();
    await held;
  });
  await inserted;
  await store(db.database, "younger");
  hub.poke();
  // Enough for the hub to have looked; nothing may come meanwhile.
  await delay(100);
  expect(seen).toEqual([]);
  release();
  await older;
  // Nobody pokes now: the hub itself has noted that something is held back.
  await waitFor(() => seen.length === 2, { what: "both events" });
  expect(seen).toEqual(["older", "younger"]);
  stop.abort();
  await reader;
});

test("many writers, and tails that come, go and resume: every event once, in one order", async () => {
  const writers = [1, 2, 3, 4].map((n) =>
    createDatabase({ url: db.url, log: testLog(), applicationName: `writer ${n}`, maxConnections: 1 }),
  );
  const PER_WRITER = 150;
  const writing = Promise.all(
    writers.map(async (writer, w) => {
      for (let i = 0; i < PER_WRITER; i++) {
        await writer.transaction(async (tx) => {
          await tx.query(insertEvents([sampleEvent(`${w}:${i}`)], "test"));
          // Transactions overlap, so that they end in another order than they began.
          if ((w + i) % 7 === 0) await delay(3);
        });
        hub.poke();
      }
    }),
  );
  const total = writers.length * PER_WRITER;
  const steady = (async () => {
    const seen: string[] = [];
    for await (const entries of tail(BEGINNING)) {
      seen.push(...entries.map(({ event }) => textOf(event)));
      if (seen.length >= total) return seen;
    }
    return seen;
  })();
  const hopping = (async () => {
    const seen: string[] = [];
    let cursor = BEGINNING;
    while (seen.length < total) {
      const visit = new AbortController();
      let answers = 0;
      for await (const entries of tail(cursor, visit.signal)) {
        seen.push(...entries.map(({ event }) => textOf(event)));
        const last: LogEntry | undefined = entries.at(-1);
        if (last !== undefined) cursor = encodeCursor(last.place);
        answers += 1;
        if (answers === 3 || seen.length >= total) break;
      }
      visit.abort();
    }
    return seen;
  })();
  const [a, b] = await Promise.all([steady, hopping, writing]);
  expect(new Set(a).size).toBe(total);
  expect(a).toHaveLength(total);
  expect(b).toEqual(a);
  for (const writer of writers) await writer.end();
});

test("a reader slower than the events is closed with its cursor, the others do not notice, and it resumes without a gap", async () => {
  const slow = tail();
  expect((await slow.next()).value).toEqual([]);
  const seen: string[] = [];
  const quick = (async () => {
    for await (const entries of tail(BEGINNING)) seen.push(...entries.map(({ event }) => textOf(event)));
  })();
  await store(db.database, "first");
  hub.poke();
  expect((await slow.next()).value?.map(({ event }: LogEntry) => textOf(event))).toEqual(["first"]);

  const big = "x".repeat(100_000);
  const texts = Array.from({ length: 15 }, (_, i) => `${i} ${big}`);
  for (const [i, text] of texts.entries()) {
    await store(db.database, text);
    hub.poke();
    // One after the other: what came at once might be too much for any reader.
    await waitFor(() => seen.length === i + 2, { what: "the quick reader" });
  }
  const error = await slow.next().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "resource_exhausted", reason: "TAIL_TOO_SLOW" });
  const { fields } = error as { fields: Record<string, string> };
  const resumed: string[] = [];
  for await (const entries of tail(fields["cursor"])) {
    resumed.push(...entries.map(({ event }) => textOf(event)));
    if (resumed.length >= 15) break;
  }
  expect(resumed).toEqual(texts);
  stop.abort();
  await quick;
});

test("what waits for a reader, read from the log or given live, is not shown after its agent has left the reach", async () => {
  const ann = testCaller("member:ann", ["one", "two"]);
  const both = (text: string) => [sampleEvent(text), sampleEvent(`hidden ${text}`, { agentId: "two" })];
  const storeBoth = (...texts: string[]) => db.database.query(insertEvents(texts.flatMap(both), "test"));
  const texts = Array.from({ length: 40 }, (_, i) => `${i}`);
  await storeBoth(...texts);
  const stream = tail(BEGINNING, stop.signal, ann.agents);
  const seen: string[] = [];
  const next = async () => {
    const { value = [] } = await stream.next();
    seen.push(...value.map(({ event }: LogEntry) => textOf(event)));
  };
  // The first answer holds 64 of the 80 events; the others wait.
  await next();
  expect(seen).toHaveLength(64);
  ann.agentIds.delete("two");
  await next();
  expect(seen.slice(64)).toEqual(texts.slice(32));

  ann.agentIds.add("two");
  const witness = tail(undefined, stop.signal, ann.agents);
  await witness.next();
  const live = stream.next();
  await storeBoth("first");
  hub.poke();
  await live;
  await witness.next();
  await storeBoth("second");
  hub.poke();
  // The other reader has them, so they wait for this one, too.
  expect((await witness.next()).value).toHaveLength(2);
  ann.agentIds.delete("two");
  seen.length = 0;
  await next();
  expect(seen).toEqual(["second"]);
});

const refused = (reason: string) => ({ code: "invalid_argument", reason });

test("what is no place of this log is refused, and a stopping gateway ends its tails", async () => {
  for (const cursor of ["", "x", encodeCursor({ tx: 99_999_999n, position: 1n })]) {
    await expect(tail(cursor).next()).rejects.toMatchObject(refused("CURSOR_INVALID"));
  }
  const later = { seconds: 2n, nanos: 0 };
  const withEnd = create(TailEventsRequestSchema, { filter: { endTime: later } });
  await expect(tailLog(db.database, hub, withEnd, everything, stop.signal).next()).rejects.toMatchObject(
    refused("TAIL_END_TIME"),
  );
  const backwards = create(EventFilterSchema, { startTime: later, endTime: { seconds: 1n, nanos: 0 } });
  expect(() => toQuery(backwards, everything)).toThrow(expect.objectContaining(refused("TIME_RANGE_INVALID")));
  for (const token of ["x", Buffer.from("v1.1.99999999999999999999").toString("base64url")]) {
    expect(() => pageEndOf(token)).toThrow(expect.objectContaining(refused("PAGE_TOKEN_INVALID")));
  }

  const open = tail();
  await open.next();
  const ending = open.next();
  await Promise.all([
    hub.close(),
    expect(ending).rejects.toMatchObject({ code: "unavailable", reason: "GATEWAY_STOPPING" }),
  ]);
});
