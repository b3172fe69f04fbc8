import { testDatabase, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isUniqueViolation, rawSql, sql } from "./index.ts";

const warnings: string[] = [];
process.on("warning", (warning) => warnings.push(warning.message));

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase([]);
  await db.database.query(rawSql("CREATE TABLE things (id int CONSTRAINT things_pk PRIMARY KEY, data bytea)"));
});
afterAll(() => db.drop());

const count = async (): Promise<number> =>
  (await db.database.query<{ n: number }>(sql`SELECT count(*)::int AS n FROM things`)).rows[0]?.n ?? -1;

test("values go and come back as what they are", async () => {
  const big = 9_007_199_254_740_993n;
  const bytes = new Uint8Array([0, 255, 34, 92]);
  const at = new Date("2026-01-02T03:04:05.678Z");
  const { rows } = await db.database.query(sql`
    SELECT ${big}::bigint AS big, ${[big, 1n]}::bigint[] AS bigs, ${bytes}::bytea AS bytes,
      ${[bytes, bytes]}::bytea[] AS list, ${at}::timestamptz AS at, ${'a"b\\{}'}::text AS text, '42'::xid8 AS tx,
      ${["a,b", 'c"', "\\"]}::text[] AS texts, ${null}::text AS nothing, '2026-01-02'::date AS day`);
  const buffer = Buffer.from(bytes);
  expect(rows[0]).toEqual({
    big,
    bigs: [big, 1n],
    bytes: buffer,
    list: [buffer, buffer],
    at,
    text: 'a"b\\{}',
    tx: 42n,
    texts: ["a,b", 'c"', "\\"],
    nothing: null,
    day: "2026-01-02",
  });
});

test("a unique violation is told apart and leaves its connection usable", async () => {
  await db.database.query(sql`INSERT INTO things (id) VALUES (${1})`);
  const before = db.database.statementCount();
  const error: unknown = await db.database.query(sql`INSERT INTO things (id) VALUES (${1})`).catch((e: unknown) => e);
  expect(isUniqueViolation(error)).toBe(true);
  expect(isUniqueViolation(error, "things_pk")).toBe(true);
  expect(isUniqueViolation(error, "other")).toBe(false);
  expect(isUniqueViolation(new Error("x"))).toBe(false);
  const { rows } = await db.database.query(sql`SELECT count(*)::int AS n FROM pg_prepared_statements`);
  expect(rows[0]).toEqual({ n: expect.any(Number) });
  expect(Number(rows[0]?.["n"])).toBeGreaterThan(1);
  expect(db.database.statementCount()).toBe(before + 2);
});

test("a transaction is all or nothing, and repeated when only others were in its way", async () => {
  const start = await count();
  await expect(
    db.database.transaction(async (tx) => {
      await tx.query(sql`INSERT INTO things (id) VALUES (${10})`);
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  expect(await count()).toBe(start);

  let runs = 0;
  await db.database.transaction(async (tx) => {
    runs += 1;
    await tx.query(sql`INSERT INTO things (id) VALUES (${11})`);
    if (runs < 3) await tx.query(rawSql("DO $$ BEGIN RAISE 'conflict' USING ERRCODE = '40001'; END $$"));
  });
  expect(runs).toBe(3);
  expect(await count()).toBe(start + 1);
});

test("an error that the caller's own work throws does not count as a fault of the database", async () => {
  const own = Object.assign(new Error("no such file"), { code: "ENOENT" });
  await expect(db.database.transaction(() => Promise.reject(own))).rejects.toBe(own);
});

test("more work than connections waits its turn", async () => {
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, i) => db.database.query(sql`SELECT ${i}::int AS i, pg_sleep(0.002)`)),
  );
  expect(results.map(({ rows }) => rows[0]?.["i"])).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

test("listeners hear what is announced in a committed transaction, and nothing after their end", async () => {
  const heard: string[] = [];
  let subscribed = 0;
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const subscription = db.database.listen(
    "some channel",
    (payload) => heard.push(payload),
    () => {
      subscribed += 1;
      resolve();
    },
  );
  const { promise: last, resolve: gotLast } = Promise.withResolvers<void>();
  const other = db.database.listen("some channel", (payload) => {
    if (payload === "end") gotLast();
  });
  await ready;
  const say = (text: string) => db.database.query(sql`SELECT pg_notify('some channel', ${text})`);
  await say("one");
  await db.database
    .transaction(async (tx) => {
      await tx.query(sql`SELECT pg_notify('some channel', ${"never"})`);
      throw new Error("rolled back");
    })
    .catch(() => undefined);
  await say("two");
  await expect.poll(() => heard).toEqual(["one", "two"]);
  subscription.close();
  await say("end");
  await last;
  other.close();
  expect(heard).toEqual(["one", "two"]);
  expect(subscribed).toBe(1);
});

test("many listeners at once give one connection one statement at a time", async () => {
  // pg warns of a second statement, and its next version refuses it. It warns once a process, so this looks from the start.
  const channels = Array.from({ length: 5 }, (_, i) => `channel ${i}`);
  const subscriptions = await Promise.all(
    channels.map((channel) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const subscription = db.database.listen(channel, () => undefined, resolve);
      return promise.then(() => subscription);
    }),
  );
  for (const subscription of subscriptions) subscription.close();
  const { promise: again, resolve } = Promise.withResolvers<void>();
  const last = db.database.listen("channel 0", () => undefined, resolve);
  await again;
  last.close();
  expect(warnings).toEqual([]);
});
