import type { Change } from "@openhermit/caller";
import { createDatabase, migrate, rawSql, sql, type Database } from "@openhermit/postgres";
import { AuditOutcome, type AuditRecord } from "@openhermit/protocol/access/v1/audit_record";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { accessMigrations } from "../access-migrations.ts";
import { auditClient } from "../test/audit-client.ts";
import { accessDatabase } from "../test/access-database.ts";
import { sampleActor, sampleChange, sampleDenial } from "../test/sample-audit.ts";
import { createAuditTrail, type AuditTrail } from "./audit-trail.ts";

let db: TestDatabase;
/** As the gateway's role: what may be done here may be done there. */
let services: Database;
let role: string;
let trail: AuditTrail;
let clockMs = 0;
beforeEach(async () => {
  db = await accessDatabase();
  const ordinary = await db.ordinaryRole();
  role = ordinary.name;
  await migrate(db.database, [accessMigrations], testLog(), role);
  services = createDatabase({ url: ordinary.url, log: testLog(), applicationName: "services" });
  clockMs = 0;
  trail = createAuditTrail({
    database: services,
    log: testLog(),
    retentionDays: 400,
    now: () => new Date(Date.now() + clockMs),
  });
});
afterEach(async () => {
  await trail.close();
  await services.end();
  await db.drop();
});

type Query = Parameters<ReturnType<typeof auditClient>["queryAudit"]>[0];
const query = (request: Query = {}) => auditClient(trail).queryAudit(request);
const targets = (records: readonly AuditRecord[]) => records.map(({ targetId }) => targetId);

test("a record is stored with the change that it tells of, or not at all", async () => {
  const record = trail.recordChanges(sampleActor("alice"));
  await db.database.query(rawSql("CREATE TABLE public.things (id text); GRANT ALL ON public.things TO PUBLIC"));
  const change = (id: string, fail: boolean) =>
    services.transaction(async (tx) => {
      await tx.query(sql`INSERT INTO public.things VALUES (${id})`);
      await record(tx, [sampleChange(id)]);
      if (fail) throw new Error("changed my mind");
    });
  await change("kept", false);
  await expect(change("undone", true)).rejects.toThrow("changed my mind");
  await record(services, []);
  expect(targets((await query()).records)).toEqual(["kept"]);
  expect((await services.query(sql`SELECT id FROM public.things`)).rows).toEqual([{ id: "kept" }]);
});

test("all of a record comes back, and many are one statement", async () => {
  const actor = sampleActor("ci", {
    subject: { kind: SubjectKind.SERVICE_ACCOUNT, id: "ci" },
    onBehalfOf: { kind: SubjectKind.MEMBER, id: "alice" },
    accessor: "acc_1",
  });
  const before = services.statementCount();
  await trail.recordChanges(actor)(services, [
    sampleChange("one", { fields: [{ path: "spec.model", before: "", after: "a\nb" }] }),
    sampleChange("two"),
  ]);
  expect(services.statementCount() - before).toBe(1);
  const { records } = await query();
  expect(records).toMatchObject([
    { targetId: "two", changes: [] },
    {
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      actor: { kind: SubjectKind.SERVICE_ACCOUNT, id: "ci" },
      onBehalfOf: { kind: SubjectKind.MEMBER, id: "alice" },
      accessor: "acc_1",
      action: "agents.update",
      targetType: "agent",
      targetId: "one",
      outcome: AuditOutcome.DONE,
      reason: "",
      changes: [{ path: "spec.model", oldValue: "", newValue: "a\nb" }],
      requestId: "request of ci",
      address: "192.0.2.1",
      count: 1n,
    },
  ]);
  const time = Number(records[0]?.time?.seconds ?? 0n) * 1000;
  expect(Math.abs(time - Date.now())).toBeLessThan(60_000);
});

test("what a caller made up is harmless: long, broken, forged, or too much", async () => {
  const nasty = "a\0b\u001B[31m\uD800";
  await trail.recordChanges(sampleActor(nasty, { requestId: nasty, address: nasty }))(services, [
    sampleChange(nasty, {
      fields: Array.from({ length: 100 }, (_, i) => ({ path: `${i}`, before: nasty, after: "x".repeat(5000) })),
    }),
  ]);
  const { records } = await query({ filter: { actor: { id: "a\0b" } } });
  expect(records).toEqual([]);
  const [stored] = (await query()).records;
  expect(stored).toMatchObject({ targetId: "a\uFFFDb\uFFFD[31m\uFFFD", actor: { id: "a\uFFFDb\uFFFD[31m\uFFFD" } });
  expect(stored?.changes).toHaveLength(65);
  expect(stored?.changes[0]?.newValue).toHaveLength(1024);
  expect(stored?.changes.at(-1)).toMatchObject({ path: "…", newValue: "36 more" });
});

test("each filter, and all of them together", async () => {
  const record = (id: string, change: Partial<Change> = {}, kind: SubjectKind = SubjectKind.MEMBER) =>
    trail.recordChanges(sampleActor(id, { subject: { kind, id } }))(services, [sampleChange(`by-${id}`, change)]);
  await record("alice");
  await record("bob", { action: "teams.create", targetType: "team" });
  await record("ci", {}, SubjectKind.SERVICE_ACCOUNT);
  trail.recordDenial(sampleDenial("denied"));
  await trail.start();
  await waitFor(async () => (await query()).records.length === 4, { what: "all records" });

  const found = async (filter: NonNullable<Query["filter"]>) => targets((await query({ filter })).records);
  expect(await found({ actor: { kind: SubjectKind.MEMBER } })).toEqual(["denied", "by-bob", "by-alice"]);
  expect(await found({ actor: { kind: SubjectKind.MEMBER, id: "alice" } })).toEqual(["by-alice"]);
  expect(await found({ actor: { id: "ci" } })).toEqual(["by-ci"]);
  expect(await found({ actor: { kind: SubjectKind.MEMBER, id: "ci" } })).toEqual([]);
  expect(await found({ targetType: "team" })).toEqual(["by-bob"]);
  expect(await found({ targetId: "by-ci" })).toEqual(["by-ci"]);
  expect(await found({ actionPrefix: "teams." })).toEqual(["by-bob"]);
  expect(await found({ actionPrefix: "teams_" })).toEqual([]);
  expect(await found({ outcome: AuditOutcome.DENIED })).toEqual(["denied"]);
  const { records } = await query();
  const time = records[1]?.time;
  if (time === undefined) throw new Error("a record without a time");
  const late = { seconds: time.seconds + 3600n, nanos: 0 };
  expect(await found({ startTime: late })).toEqual([]);
  expect(await found({ endTime: late })).toHaveLength(4);
  expect(await found({ startTime: time, targetId: "by-ci" })).toEqual(["by-ci"]);
  expect(await found({ endTime: time, targetId: "by-ci" })).toEqual([]);
  const all = { actor: { kind: SubjectKind.MEMBER, id: "bob" }, targetType: "team", targetId: "by-bob" };
  expect(await found({ ...all, actionPrefix: "teams.create", outcome: AuditOutcome.DONE, endTime: late })).toEqual([
    "by-bob",
  ]);
  await expect(query({ filter: { startTime: late, endTime: time } })).rejects.toThrow("TIME_RANGE_INVALID");
});

test("pages go from the newest to the oldest without a gap, also where records are large", async () => {
  const record = trail.recordChanges(sampleActor("alice"));
  const fields = Array.from({ length: 64 }, (_, i) => ({ path: `${i}`, before: "", after: "ü".repeat(1024) }));
  const ids = Array.from({ length: 45 }, (_, i) => `agent-${i}`);
  await record(
    services,
    ids.map((id) => sampleChange(id, { fields })),
  );
  const pages = async (pageSize: number): Promise<string[][]> => {
    const found: string[][] = [];
    let pageToken = "";
    do {
      const page = await query({ pageSize, pageToken });
      found.push(targets(page.records));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return found;
  };
  const newest = ids.toReversed();
  const small = await pages(7);
  expect(small.map((page) => page.length)).toEqual([7, 7, 7, 7, 7, 7, 3]);
  expect(small.flat()).toEqual(newest);
  // 1,000 were asked for; an answer has about 2 MiB.
  const large = await pages(1000);
  expect(large.flat()).toEqual(newest);
  expect(large.length).toBeGreaterThan(1);
  await expect(query({ pageToken: "nonsense" })).rejects.toThrow("PAGE_TOKEN_INVALID");
});

test("the first denied attempt is stored at once, those after it a minute later in one record", async () => {
  await trail.start();
  const begin = performance.now();
  trail.recordDenial(sampleDenial("one"));
  await waitFor(async () => (await query()).records.length === 1, { what: "the first record" });
  expect(performance.now() - begin).toBeLessThan(1000);
  for (let i = 0; i < 500; i++) trail.recordDenial(sampleDenial("one"));
  expect((await query()).records).toHaveLength(1);
  clockMs = 61_000;
  await waitFor(async () => (await query()).records.length === 2, { what: "the second record" });
  expect((await query()).records).toMatchObject([
    { count: 500n, outcome: AuditOutcome.DENIED, reason: "RIGHT_MISSING", targetId: "one" },
    { count: 1n },
  ]);
});

test("attempts of a time without a database, and before the start, are stored when it is there", async () => {
  trail.recordDenial(sampleDenial("before the start"));
  await trail.start();
  await waitFor(async () => (await query()).records.length === 1, { what: "what was denied before the start" });

  await db.database.query(rawSql(`ALTER ROLE ${role} NOLOGIN`));
  await db.database.query(sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ${role}`);
  await waitFor(() => !services.status().ready, { what: "the absence of the database" });
  for (let i = 0; i < 3; i++) trail.recordDenial(sampleDenial("while it was away"));
  await expect(query()).rejects.toThrow("DATABASE_UNAVAILABLE");
  await db.database.query(rawSql(`ALTER ROLE ${role} LOGIN`));
  await waitFor(() => services.status().ready, { what: "the database" });
  await waitFor(async () => (await query()).records.length === 2, { what: "what was denied meanwhile" });
  expect((await query()).records[0]).toMatchObject({ targetId: "while it was away", count: 3n });
});

test("what still waits at the end is stored", async () => {
  await trail.start();
  trail.recordDenial(sampleDenial("one"));
  await waitFor(async () => (await query()).records.length === 1, { what: "the first record" });
  trail.recordDenial(sampleDenial("one"));
  trail.recordDenial(sampleDenial("two"));
  await trail.close();
  trail.recordDenial(sampleDenial("three"));
  const { rows } = await services.query(sql`SELECT target_id AS id FROM access.audit_records ORDER BY position`);
  expect(rows).toEqual([{ id: "one" }, { id: "one" }, { id: "two" }]);
});
