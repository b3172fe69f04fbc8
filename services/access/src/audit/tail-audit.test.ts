import { setTimeout as delay } from "node:timers/promises";
import { createDatabase, migrate, rawSql, sql, type Database } from "@openhermit/postgres";
import { AuditOutcome } from "@openhermit/protocol/access/v1/audit_record";
import { testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { accessMigrations } from "../access-migrations.ts";
import { accessDatabase } from "../test/access-database.ts";
import { auditClient } from "../test/audit-client.ts";
import { sampleActor, sampleChange, sampleDenial } from "../test/sample-audit.ts";
import { encodeCursor } from "./audit-place.ts";
import { createAuditTrail, type AuditTrail } from "./audit-trail.ts";

/** One gateway's trail. */
interface Instance {
  readonly database: Database;
  readonly trail: AuditTrail;
}

const BEGINNING = encodeCursor({ tx: 0n, position: 0n });
let db: TestDatabase;
let role: string;
let a: Instance;
let b: Instance;
beforeEach(async () => {
  db = await accessDatabase();
  const ordinary = await db.ordinaryRole();
  role = ordinary.name;
  await migrate(db.database, [accessMigrations], testLog(), role);
  const instance = async (): Promise<Instance> => {
    const database = createDatabase({ url: ordinary.url, log: testLog(), applicationName: "gateway" });
    const trail = createAuditTrail({ database, log: testLog(), retentionDays: 400 });
    await trail.start();
    return { database, trail };
  };
  [a, b] = await Promise.all([instance(), instance()]);
});
afterEach(async () => {
  for (const { trail, database } of [a, b]) {
    await trail.close();
    await database.end();
  }
  await db.drop();
});

const store = (instance: Instance, ...ids: string[]) =>
  instance.trail.recordChanges(sampleActor("alice"))(
    instance.database,
    ids.map((id) => sampleChange(id)),
  );

/** A tail that collects what it sees. */
function tail(instance: Instance, request: Parameters<ReturnType<typeof auditClient>["tailAudit"]>[0] = {}) {
  const stop = new AbortController();
  const seen: { id: string; cursor: string }[] = [];
  let answers = 0;
  const done = (async () => {
    for await (const { records } of auditClient(instance.trail).tailAudit(request, { signal: stop.signal })) {
      if (answers === 0) expect(records).toEqual([]);
      answers += 1;
      seen.push(...records.map(({ targetId, cursor }) => ({ id: targetId, cursor })));
    }
  })();
  const ended = done.then(
    () => "ended",
    (error: unknown) => (error as Error).message,
  );
  return {
    seen,
    ids: () => seen.map(({ id }) => id),
    open: () => waitFor(() => answers > 0, { what: "the open tail" }),
    ended,
    async stop() {
      stop.abort();
      return ended;
    },
  };
}

test("what any gateway stores comes to the tails of all, at once, and only from the beginning on", async () => {
  await store(a, "before");
  const tails = [tail(a), tail(b)];
  await Promise.all(tails.map((each) => each.open()));
  const begin = performance.now();
  await store(a, "one");
  await store(b, "two");
  b.trail.recordDenial(sampleDenial("three"));
  for (const each of tails) await waitFor(() => each.seen.length === 3, { what: "three records" });
  // Faster than the look that is taken every two seconds.
  expect(performance.now() - begin).toBeLessThan(1800);
  for (const each of tails) expect(each.ids()).toEqual(["one", "two", "three"]);
  for (const each of tails) expect(await each.stop()).toContain("aborted");
});

test("many writers on two gateways, transactions that overlap, tails that resume: every record once, in one order", async () => {
  const WRITERS = 4;
  const EACH = 60;
  const writing = Promise.all(
    Array.from({ length: WRITERS }, async (_, w) => {
      const instance = w % 2 === 0 ? a : b;
      for (let i = 0; i < EACH; i++) {
        await instance.database.transaction(async (tx) => {
          await instance.trail.recordChanges(sampleActor("alice"))(tx, [sampleChange(`${w}:${i}`)]);
          // So that they end in another order than they began.
          if ((w + i) % 5 === 0) await delay(4);
        });
      }
    }),
  );
  const total = WRITERS * EACH;
  const steady = tail(a, { cursor: BEGINNING });
  const hopping: string[] = [];
  let cursor = BEGINNING;
  while (hopping.length < total) {
    const visit = tail(hopping.length % 2 === 0 ? a : b, { cursor });
    await waitFor(() => visit.seen.length > 0, { what: "something new" });
    await visit.stop();
    hopping.push(...visit.ids());
    cursor = visit.seen.at(-1)?.cursor ?? cursor;
  }
  await writing;
  await waitFor(() => steady.seen.length >= total, { what: "all records" });
  await steady.stop();
  expect(new Set(steady.ids()).size).toBe(total);
  expect(steady.seen).toHaveLength(total);
  expect(hopping).toEqual(steady.ids());
});

test("nothing of a younger transaction is shown before an older one has ended, and then both, without a poke", async () => {
  const all = tail(b);
  await all.open();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const { promise: inserted, resolve: isInserted } = Promise.withResolvers<void>();
  const older = a.database.transaction(async (tx) => {
    await a.trail.recordChanges(sampleActor("alice"))(tx, [sampleChange("older")]);
    isInserted();
    await held;
  });
  await inserted;
  await store(a, "younger");
  // Enough for the tail to have looked; nothing may come meanwhile.
  await delay(100);
  expect(all.ids()).toEqual([]);
  release();
  await older;
  await waitFor(() => all.seen.length === 2, { what: "both records" });
  expect(all.ids()).toEqual(["older", "younger"]);
  await all.stop();
});

test("a filter holds for history and for what comes; a long history comes whole", async () => {
  await store(a, ...Array.from({ length: 450 }, (_, i) => `agent-${i}`));
  const everything = tail(a, { cursor: BEGINNING });
  await waitFor(() => everything.seen.length === 450, { what: "the history" });
  expect(everything.ids()).toEqual(Array.from({ length: 450 }, (_, i) => `agent-${i}`));

  const denied = tail(b, { cursor: BEGINNING, filter: { outcome: AuditOutcome.DENIED } });
  const middle = tail(b, { cursor: everything.seen[399]?.cursor ?? "" });
  await waitFor(() => middle.seen.length === 50, { what: "what came after the cursor" });
  a.trail.recordDenial(sampleDenial("secret"));
  await waitFor(() => denied.seen.length === 1 && middle.seen.length === 51, { what: "the denied attempt" });
  expect(denied.ids()).toEqual(["secret"]);
  expect(middle.ids()[0]).toBe("agent-400");
  // The cursor of a record that was queried resumes a tail as well.
  const { records } = await auditClient(a.trail).queryAudit({ filter: { targetId: "agent-449" } });
  const after = tail(a, { cursor: records[0]?.cursor ?? "" });
  await waitFor(() => after.seen.length > 0, { what: "what came after it" });
  expect(after.ids()).toEqual(["secret"]);
  await Promise.all([everything, denied, middle, after].map((each) => each.stop()));
});

test("a tail outlives the database, misses nothing, and ends with its gateway", async () => {
  const all = tail(a);
  await all.open();
  await store(b, "one");
  await waitFor(() => all.seen.length === 1, { what: "the first record" });
  await db.database.query(rawSql(`ALTER ROLE ${role} NOLOGIN`));
  await db.database.query(sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ${role}`);
  await waitFor(() => !a.database.status().ready && !b.database.status().ready, { what: "the absence" });
  await db.database.query(rawSql(`ALTER ROLE ${role} LOGIN`));
  await waitFor(() => b.database.status().ready, { what: "the database" });
  await store(b, "two");
  await waitFor(() => all.seen.length === 2, { what: "the second record" });
  await a.trail.close();
  expect(await all.ended).toContain("GATEWAY_STOPPING");
});

test("records of a backup of another server are history, and what is new is shown", async () => {
  await store(a, "of the old server");
  // As restored: the transaction lies in the future of this server. Only who removes the trigger could do that.
  await db.database.query(
    rawSql(`BEGIN; ALTER TABLE access.audit_records DISABLE TRIGGER refuse_row_change;
      UPDATE access.audit_records SET tx = '99999999999';
      ALTER TABLE access.audit_records ENABLE ALWAYS TRIGGER refuse_row_change; COMMIT`),
  );
  await b.trail.close();
  b = { ...b, trail: createAuditTrail({ database: b.database, log: testLog(), retentionDays: 400 }) };
  await b.trail.start();
  const all = tail(b, { cursor: BEGINNING });
  await all.open();
  await store(b, "new");
  await waitFor(() => all.seen.length > 0, { what: "the new record" });
  expect(all.ids()).toEqual(["new"]);
  const { records } = await auditClient(b.trail).queryAudit({});
  expect(records.map(({ targetId }) => targetId)).toEqual(["new", "of the old server"]);
  // The next start finds nothing to note: the new record stays.
  await b.trail.close();
  b = { ...b, trail: createAuditTrail({ database: b.database, log: testLog(), retentionDays: 400 }) };
  await b.trail.start();
  const again = tail(b, { cursor: BEGINNING });
  await waitFor(() => again.seen.length > 0, { what: "the new record again" });
  await Promise.all([all.stop(), again.stop()]);
});

test("a bad cursor and an end are refused", async () => {
  expect(await tail(a, { cursor: "nonsense" }).ended).toContain("CURSOR_INVALID");
  const future = encodeCursor({ tx: 99_999_999_999n, position: 0n });
  expect(await tail(a, { cursor: future }).ended).toContain("CURSOR_INVALID");
  expect(await tail(a, { filter: { endTime: { seconds: 1n, nanos: 0 } } }).ended).toContain("TAIL_END_TIME");
});
