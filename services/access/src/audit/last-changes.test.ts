import type { Change } from "@openhermit/caller";
import { createDatabase, sql, type Database, type Queryable } from "@openhermit/postgres";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { accessDatabase } from "../test/access-database.ts";
import { sampleActor, sampleChange, sampleDenial } from "../test/sample-audit.ts";
import { createAuditTrail, type AuditTrail } from "./audit-trail.ts";
import { readLastChanges } from "./last-changes-store.ts";

let db: TestDatabase;
let database: Database;
let trail: AuditTrail;
beforeAll(async () => {
  db = await accessDatabase();
  database = createDatabase({ url: db.url, log: testLog(), applicationName: "test" });
  trail = createAuditTrail({ database, log: testLog(), retentionDays: 400 });
  await trail.start();
});
afterAll(async () => {
  await trail.close();
  await database.end();
  await db.drop();
});

/** A name that no other test has. */
let own = "";
let count = 0;
beforeEach(() => (own = `agent-${count++}`));

const record = (changes: readonly Change[], kind: SubjectKind = SubjectKind.MEMBER, id = "alice") =>
  trail.recordChanges(sampleActor(id, { subject: { kind, id } }))(database, changes);
const agent = (id: string) => ({ type: "agent", id });
const fields = (...paths: string[]) => paths.map((path) => ({ path, before: "a", after: "b" }));

/** The database, with a count of what is sent through here alone: the trail sends statements of its own at any time. */
function counted(): { reader: Queryable; sentCount: () => number } {
  let sent = 0;
  const reader: Queryable = {
    query: async (statement) => {
      sent += 1;
      return await database.query(statement);
    },
  };
  return { reader, sentCount: () => sent };
}

test("of many targets each has its own changes, newest first, with who made them, in one statement", async () => {
  await record([sampleChange(own, { action: "agents.create", fields: fields("model", "instructions") })]);
  await record([sampleChange(own, { fields: fields("model") })], SubjectKind.SERVICE_ACCOUNT, "ci");
  await record([sampleChange(own), sampleChange(`${own}-b`)], SubjectKind.LOCAL_OPERATOR, "");
  await record([sampleChange(own, { targetType: "skill", action: "skills.put" })], SubjectKind.SYSTEM, "sweep");
  const { reader, sentCount } = counted();
  const found = await readLastChanges(reader, [
    agent(`${own}-b`),
    agent("never-was"),
    agent(own),
    agent(own),
    { type: "skill", id: own },
  ]);
  expect(sentCount()).toBe(1);
  const told = [...found].map(([key, changes]) => [
    key,
    changes.map(({ actor, action, paths }) => `${actor} ${action} ${paths.join()}`),
  ]);
  expect(Object.fromEntries(told)).toEqual({
    [`agent/${own}`]: [
      "local-operator agents.update ",
      "service-account:ci agents.update model",
      "member:alice agents.create model,instructions",
    ],
    [`agent/${own}-b`]: ["local-operator agents.update "],
    [`skill/${own}`]: ["system:sweep skills.put "],
  });
  const times = found.get(`agent/${own}`)?.map(({ time }) => time.getTime()) ?? [];
  expect(times).toEqual(times.toSorted((a, b) => b - a));
  expect(Math.abs((times[0] ?? 0) - Date.now())).toBeLessThan(60_000);
});

test("only what was done counts, and of that the newest twenty", async () => {
  for (let i = 0; i < 23; i++) await record([sampleChange(own, { fields: fields(`field-${i}`) })]);
  trail.recordDenial(sampleDenial(own));
  await waitFor(
    async () => (await database.query(sql`SELECT FROM access.audit_records WHERE target_id = ${own}`)).rowCount === 24,
    { what: "the denied attempt" },
  );
  const changes = (await readLastChanges(database, [agent(own)])).get(`agent/${own}`) ?? [];
  expect(changes.map(({ paths }) => paths.join())).toEqual(Array.from({ length: 20 }, (_, i) => `field-${22 - i}`));
});

test("nothing is asked of no targets, and an id may be any text", async () => {
  const { reader, sentCount } = counted();
  expect(await readLastChanges(reader, [])).toEqual(new Map());
  expect(sentCount()).toBe(0);
  expect(await readLastChanges(database, [agent(""), agent("'; --"), agent("x".repeat(5000))])).toEqual(new Map());
});
