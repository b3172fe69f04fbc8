import type { Caller } from "@openhermit/caller";
import { sql } from "@openhermit/postgres";
import { testCaller, waitFor, type TestCaller } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MAX_BUFFERED_BYTES } from "./tail-reader.ts";
import { openActivity, type OpenActivity } from "./test/open-activity.ts";
import { sampleEvent, textOf, textsOf } from "./test/sample-event.ts";

let db: OpenActivity["db"];
let service: OpenActivity["service"];
let client: OpenActivity["client"];
let close: OpenActivity["close"];
let stop: AbortController;
let caller: Caller;
let ann: TestCaller;
beforeEach(async () => {
  ({ db, service, client, close } = await openActivity(() => caller));
  stop = new AbortController();
  ann = testCaller("member:ann", ["one"]);
  caller = ann;
});
afterEach(async () => {
  stop.abort();
  await close();
});

type Request = Parameters<typeof client.queryEvents>[0];
type Filter = Request["filter"] & object;
const query = async (filter: Filter = {}) =>
  (await client.queryEvents({ filter })).events.map(({ event }) => textOf(event));
const tail = (request: Parameters<typeof client.tailEvents>[0] = {}) =>
  client.tailEvents(request, { signal: stop.signal })[Symbol.asyncIterator]();
const of = (agentId: string, text: string, seconds = 100) =>
  sampleEvent(text, {
    agentId,
    userId: "member:bob",
    sessionId: `session-of-${agentId}`,
    turnId: `turn-of-${agentId}`,
    time: { seconds: BigInt(seconds), nanos: 0 },
  });

test("a query shows events of the agents in reach, whatever it names; those without an agent to who reaches all", async () => {
  await service.append([of("one", "mine", 1), of("two", "theirs secret", 2), of("", "of the gateway", 3)]);
  expect(await query()).toEqual(["mine"]);
  const naming: Filter[] = [
    { agentId: "two" },
    { sessionId: "session-of-two" },
    { turnId: "turn-of-two" },
    { text: "secret" },
    { text: "gateway" },
    { agentId: "two", text: "secret" },
    { startTime: { seconds: 2n, nanos: 0 } },
  ];
  for (const filter of naming) expect(await query(filter)).toEqual([]);
  expect(await query({ userId: "member:bob" })).toEqual(["mine"]);
  // An agent out of reach is as empty as one that nobody has.
  expect(await client.queryEvents({ filter: { agentId: "two" } })).toEqual(
    await client.queryEvents({ filter: { agentId: "nobody" } }),
  );

  ann.agentIds.add("two");
  expect(await query()).toEqual(["theirs secret", "mine"]);
  expect(await query({ agentId: "two", text: "SECRET" })).toEqual(["theirs secret"]);
  ann.agentIds.clear();
  expect(await query()).toEqual([]);
  ann.reachesAll = true;
  expect(await query()).toEqual(["of the gateway", "theirs secret", "mine"]);

  const strangers: Caller[] = [{ kind: "anonymous" }, { kind: "sidecar", sidecarId: "one", agentIds: ["one"] }];
  for (caller of strangers) expect(await query()).toEqual([]);
});

test("pages are full of what is in reach, hidden events count for nothing, and no token opens what another's reach hides", async () => {
  const texts = Array.from({ length: 30 }, (_, i) => `message ${i}`);
  await service.append(texts.map((text, i) => of(i % 3 === 0 ? "one" : "two", text, 100 + i)));
  const mine = texts.filter((_, i) => i % 3 === 0).toReversed();
  const pages = async (from: string): Promise<string[][]> => {
    const read: string[][] = [];
    let pageToken = from;
    do {
      const page = await client.queryEvents({ pageSize: 4, pageToken });
      read.push(page.events.map(({ event }) => textOf(event)));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return read;
  };
  const inPages = [mine.slice(0, 4), mine.slice(4, 8), mine.slice(8)];
  expect(await pages("")).toEqual(inPages);
  // Of many agents the log is read in another way.
  for (let i = 0; i < 150; i++) ann.agentIds.add(`idle-${i}`);
  expect(await pages("")).toEqual(inPages);

  caller = testCaller();
  const first = await client.queryEvents({ pageSize: 4 });
  expect(textsOf(first)).toEqual(texts.slice(-4).toReversed());
  caller = ann;
  // The token of somebody who sees all only says where to go on.
  expect((await pages(first.nextPageToken)).flat()).toEqual(mine.slice(1));
  caller = testCaller("member:carl", []);
  expect(await pages(first.nextPageToken)).toEqual([[]]);
});

test("a tail follows its caller's reach, and so does one that resumes", async () => {
  await service.append([of("two", "old theirs"), of("one", "old mine"), of("", "old gateway")]);
  const stream = tail({ start: { case: "last", value: 10 } });
  expect(textsOf((await stream.next()).value)).toEqual(["old mine"]);

  await service.append([of("two", "theirs"), of("", "gateway"), of("one", "mine")]);
  expect(textsOf((await stream.next()).value)).toEqual(["mine"]);

  ann.agentIds.add("two");
  await service.append([of("two", "granted")]);
  const granted = (await stream.next()).value;
  expect(textsOf(granted)).toEqual(["granted"]);

  ann.agentIds.delete("two");
  await service.append([of("two", "taken away"), of("one", "still mine")]);
  expect(textsOf((await stream.next()).value)).toEqual(["still mine"]);

  // The cursor of another time shows no more than the reach of now, and nothing of the present reach is missing.
  const again = tail({ start: { case: "afterCursor", value: granted?.events[0]?.cursor ?? "" } });
  expect(textsOf((await again.next()).value)).toEqual(["still mine"]);
});

test("a tail that names an agent out of reach says that it is live and stays silent, as for an agent that nobody has", async () => {
  await service.append([of("two", "old")]);
  const seen: string[] = [];
  const live: number[] = [];
  const read = async (agentId: string) => {
    const stream = client.tailEvents(
      { filter: { agentId }, start: { case: "last", value: 5 } },
      { signal: stop.signal },
    );
    for await (const { events } of stream) {
      if (events.length === 0) live.push(1);
      seen.push(...events.map(({ event }) => textOf(event)));
    }
  };
  const readers = [read("two"), read("nobody")];
  for (const reader of readers) reader.catch(() => undefined);
  await waitFor(() => live.length === 2, { what: "both tails" });
  const witness = tail();
  await witness.next();
  await service.append([of("two", "hidden"), of("one", "mine")]);
  expect(textsOf((await witness.next()).value)).toEqual(["mine"]);
  expect(seen).toEqual([]);
});

test("a flood of hidden events does not close a tail as too slow", async () => {
  const stream = tail();
  await stream.next();
  caller = testCaller();
  const witness = tail({ filter: { agentId: "one" } });
  await witness.next();
  const big = "x".repeat(MAX_BUFFERED_BYTES / 4);
  for (let i = 0; i < 6; i++) await service.append([of("two", `${i} ${big}`)]);
  await service.append([of("one", "after the flood")]);
  expect(textsOf((await witness.next()).value)).toEqual(["after the flood"]);
  expect(textsOf((await stream.next()).value)).toEqual(["after the flood"]);
});

test("the queries of a caller are two prepared statements, however many agents are in reach", async () => {
  for (let i = 0; i < 40; i++) {
    ann.agentIds.add(`agent-${i}`);
    await query();
    await query({ agentId: `agent-${i * 2}` });
  }
  const { rows } = await db.database.query<{ statement: string }>(
    sql`SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%ORDER BY at DESC%'`,
  );
  expect(rows.filter(({ statement }) => !statement.includes("pg_prepared_statements"))).toHaveLength(2);
});
