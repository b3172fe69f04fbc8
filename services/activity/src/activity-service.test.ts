import { sql } from "@openhermit/postgres";
import { EventType } from "@openhermit/protocol/activity/v1/event";
import { testCaller, testLog } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createActivityService } from "./activity-service.ts";
import { openActivity, type OpenActivity } from "./test/open-activity.ts";
import { sampleEvent, textOf, textsOf } from "./test/sample-event.ts";

let db: OpenActivity["db"];
let service: OpenActivity["service"];
let client: OpenActivity["client"];
let close: OpenActivity["close"];
beforeEach(async () => {
  ({ db, service, client, close } = await openActivity(() => testCaller()));
});
afterEach(() => close());

const at = (seconds: number) => ({ time: { seconds: BigInt(seconds), nanos: 0 } });
const query = async (filter: Parameters<typeof client.queryEvents>[0]["filter"] & object) =>
  (await client.queryEvents({ filter })).events.map(({ event }) => textOf(event) || (event?.detail.case ?? ""));

test("every filter finds what it names, newest first", async () => {
  await service.append([
    sampleEvent("Grüße an ALLE", { ...at(100), userId: "cli:ann", sessionId: "s1", turnId: "t1" }),
    sampleEvent("50% off_er \\ \0 end", { ...at(200), userId: "cli:bob", sessionId: "s1", turnId: "t2" }),
    sampleEvent("", {
      ...at(300),
      agentId: "two",
      detail: { case: "toolUse", value: { name: "everything__echo", argumentsJson: '{"q":"Needle"}', result: "ok" } },
    }),
    sampleEvent("", {
      ...at(150),
      detail: { case: "failure", value: { source: "model", reason: "MODEL_DOWN", message: "no answer" } },
    }),
  ]);
  const all = ["toolUse", "50% off_er \\ \0 end", "failure", "Grüße an ALLE"];
  expect(await query({})).toEqual(all);
  expect(await query({ agentId: "two" })).toEqual(["toolUse"]);
  expect(await query({ userId: "cli:ann" })).toEqual(["Grüße an ALLE"]);
  expect(await query({ sessionId: "s1" })).toEqual([all[1], all[3]]);
  expect(await query({ sessionId: "s1", turnId: "t2" })).toEqual([all[1]]);
  expect(await query({ types: [EventType.TOOL_USE, EventType.FAILURE] })).toEqual(["toolUse", "failure"]);
  expect(await query({ startTime: at(150).time, endTime: at(300).time })).toEqual([all[1], "failure"]);
  expect(await query({ text: "grüssE" })).toEqual([]);
  expect(await query({ text: "GRÜßE an" })).toEqual([all[3]]);
  expect(await query({ text: "needle" })).toEqual(["toolUse"]);
  expect(await query({ text: "model_down" })).toEqual(["failure"]);
  expect(await query({ text: "0% off_er \\" })).toEqual([all[1]]);
  expect(await query({ text: "o%r" })).toEqual([]);
  expect(await query({ agentId: "nobody" })).toEqual([]);
});

test("pages hold every event once, also those of the same moment", async () => {
  const texts = Array.from({ length: 25 }, (_, i) => `message ${i}`);
  await service.append(texts.map((text, i) => sampleEvent(text, at(1000 + Math.floor(i / 10)))));
  const seen: string[] = [];
  let pageToken = "";
  let pages = 0;
  do {
    const page = await client.queryEvents({ pageSize: 7, pageToken });
    seen.push(...page.events.map(({ event }) => textOf(event)));
    pageToken = page.nextPageToken;
    pages += 1;
  } while (pageToken !== "");
  expect(seen).toEqual(texts.toReversed());
  expect(pages).toBe(4);
});

test("a tail says that it is live, then gives what is stored, in whichever way", async () => {
  const stream = client.tailEvents({ filter: { agentId: "one" } })[Symbol.asyncIterator]();
  expect((await stream.next()).value?.events).toEqual([]);
  await service.append([sampleEvent("a"), sampleEvent("other", { agentId: "two" })]);
  expect(textsOf((await stream.next()).value)).toEqual(["a"]);

  // As an ingest does it: as a part of a larger statement, in which everything or nothing happens.
  const events = [sampleEvent("b")];
  await db.database.query(sql`WITH activity AS (${service.ingestStatement(events)}) SELECT 1`);
  service.ingested(events);
  const b = (await stream.next()).value?.events[0];
  expect(textOf(b?.event)).toBe("b");

  const again = client.tailEvents({ start: { case: "last", value: 2 } })[Symbol.asyncIterator]();
  const last = (await again.next()).value;
  expect(textsOf(last)).toEqual(["other", "b"]);
  expect(last?.events[1]?.cursor).toBe(b?.cursor);
});

test("the announcement of another gateway is enough", async () => {
  const other = createActivityService({ database: db.database, log: testLog(), caller: () => ({ kind: "anonymous" }) });
  const stream = client.tailEvents({})[Symbol.asyncIterator]();
  await stream.next();
  await other.append([sampleEvent("from afar")]);
  const started = performance.now();
  expect(textsOf((await stream.next()).value)).toEqual(["from afar"]);
  // The safety net comes after 2 s; only the announcement is faster.
  expect(performance.now() - started).toBeLessThan(1500);
  await other.close();
});

test("a page shows what is committed though an older transaction still runs; a tail from there misses nothing", async () => {
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const { promise: inserted, resolve: isInserted } = Promise.withResolvers<void>();
  const older = db.database.transaction(async (tx) => {
    await tx.query(service.ingestStatement([sampleEvent("older", at(1))]));
    isInserted();
    await held;
  });
  await inserted;
  await service.append([sampleEvent("younger", at(2))]);
  const page = await client.queryEvents({});
  expect(page.events.map(({ event }) => textOf(event))).toEqual(["younger"]);
  release();
  await older;
  const value = page.events[0]?.cursor ?? "";
  const stream = client.tailEvents({ start: { case: "afterCursor", value } })[Symbol.asyncIterator]();
  expect(textsOf((await stream.next()).value)).toContain("older");
});

test("rows restored from another server come before the new ones", async () => {
  await service.append([sampleEvent("new")]);
  await service.append([sampleEvent("restored")]);
  await db.database.query(
    sql`UPDATE activity.events SET tx = '99999999' WHERE position = (SELECT max(position) FROM activity.events)`,
  );
  const again = createActivityService({ database: db.database, log: testLog(), caller: () => ({ kind: "anonymous" }) });
  again.start();
  await expect
    .poll(async () => (await db.database.query(sql`SELECT tx FROM activity.events ORDER BY tx, position`)).rows)
    .toEqual([{ tx: 0n }, { tx: 0n }]);
  await again.close();
  const stream = client.tailEvents({ start: { case: "last", value: 10 } })[Symbol.asyncIterator]();
  expect(textsOf((await stream.next()).value)).toEqual(["new", "restored"]);
});
