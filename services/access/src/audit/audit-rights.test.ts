import { createDatabase, migrate, rawSql, sql, type Database } from "@openhermit/postgres";
import { testLog, type TestDatabase } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { accessMigrations } from "../access-migrations.ts";
import { accessDatabase } from "../test/access-database.ts";
import { sampleActor, sampleChange, sampleDenial } from "../test/sample-audit.ts";
import { changeRecord, denialRecord } from "./audit-record.ts";
import { createPartitions, dropPartitions, insertRecords } from "./audit-store.ts";
import { keepTrail } from "./keep-trail.ts";

let db: TestDatabase;
/** The role of the gateway's services. */
let services: Database;
/** The role that owns the tables: here a superuser, who may do everything but change the trail. */
let owner: Database;
beforeEach(async () => {
  db = await accessDatabase();
  owner = db.database;
  const { name, url } = await db.ordinaryRole();
  await migrate(owner, [accessMigrations], testLog(), name);
  services = createDatabase({ url, log: testLog(), applicationName: "services" });
});
afterEach(async () => {
  await services.end();
  await db.drop();
});

const MONTH_NOW = new Date().toISOString().slice(0, 7).replace("-", "_");
const partitions = async (): Promise<string[]> => {
  const { rows } = await owner.query<{ name: string }>(
    sql`SELECT relid::regclass::text AS name FROM pg_partition_tree('access.audit_records') WHERE level = 1 ORDER BY 1`,
  );
  return rows.map(({ name }) => name.replace("access.audit_records_", ""));
};
const store = (by: Database, id: string) => insertRecords(by, [changeRecord(sampleActor("alice"), sampleChange(id))]);
const count = async (): Promise<unknown> =>
  (await owner.query(sql`SELECT count(*)::int AS n FROM access.audit_records`)).rows[0]?.["n"];

test("the gateway's role adds and reads, and has no way to change or remove a record", async () => {
  await store(services, "one");
  const partition = `access.audit_records_${MONTH_NOW}`;
  const denied = [
    "UPDATE access.audit_records SET actor_id = 'bob'",
    "DELETE FROM access.audit_records",
    "TRUNCATE access.audit_records",
    "DROP TABLE access.audit_records",
    "ALTER TABLE access.audit_records DISABLE TRIGGER ALL",
    "ALTER TABLE access.audit_records DISABLE TRIGGER refuse_row_change",
    "DROP TRIGGER refuse_row_change ON access.audit_records",
    "ALTER TABLE access.audit_records OWNER TO CURRENT_USER",
    "ALTER TABLE access.audit_records RENAME TO gone",
    `ALTER TABLE access.audit_records DETACH PARTITION ${partition}`,
    "CREATE RULE r AS ON INSERT TO access.audit_records DO INSTEAD NOTHING",
    `UPDATE ${partition} SET actor_id = 'bob'`,
    `DELETE FROM ${partition}`,
    `TRUNCATE ${partition}`,
    `DROP TABLE ${partition}`,
    `SELECT FROM ${partition}`,
    "DROP FUNCTION access.drop_audit_partitions",
    "CREATE OR REPLACE FUNCTION access.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "ALTER FUNCTION access.drop_audit_partitions RESET ALL",
    "SET session_replication_role = replica",
    "DELETE FROM access.audit_restores",
    "INSERT INTO access.audit_records SELECT * FROM access.audit_records ON CONFLICT (tx, position, time) DO UPDATE SET count = 9",
  ];
  for (const statement of denied) {
    const done = services.query(rawSql(statement)).then(
      () => `done: ${statement}`,
      (error: unknown) => (error as { code?: string }).code,
    );
    expect(await done).toBe("42501");
  }
  expect(await count()).toBe(1);
});

test("a trigger refuses the owner too, on each partition, and where triggers are off", async () => {
  await store(owner, "one");
  const refused = "append-only";
  for (const table of ["access.audit_records", `access.audit_records_${MONTH_NOW}`]) {
    for (const statement of [`UPDATE ${table} SET actor_id = 'bob'`, `DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
      await expect(owner.query(rawSql(statement))).rejects.toThrow(refused);
      const untriggered = owner.transaction(async (tx) => {
        await tx.query(rawSql("SET LOCAL session_replication_role = replica"));
        await tx.query(rawSql(statement));
      });
      await expect(untriggered).rejects.toThrow(refused);
    }
  }
  expect(await count()).toBe(1);
});

test("there is room for last month, this month and the next two, and making it again makes nothing", async () => {
  const made = await partitions();
  expect(made).toHaveLength(4);
  expect(made[1]).toBe(MONTH_NOW);
  expect(await createPartitions(services, 2)).toBe(0);
  expect(await Promise.all([1, 2, 3].map(() => createPartitions(services, 3)))).toContain(1);
  expect(await partitions()).toHaveLength(5);
  await expect(createPartitions(services, 14)).rejects.toThrow("at most a year");
});

test("whatever a clock says, a record has its place", async () => {
  const day = 86_400_000;
  const times = [-4000, -40, -28, -3, 0, 3, 400].map((days) => new Date(Date.now() + days * day));
  await insertRecords(
    services,
    times.map((time) => denialRecord(sampleDenial("one"), time, 1)),
  );
  const { rows } = await owner.query<{ time: Date }>(sql`SELECT time FROM access.audit_records ORDER BY position`);
  const days = rows.map(({ time }) => Math.round((time.getTime() - Date.now()) / day));
  expect(days).toEqual([-27, -27, -27, -3, 0, 0, 0].map((expected) => (expected === 0 ? expect.closeTo(0) : expected)));
});

test("the retention drops whole months, nothing younger than it, and never what is younger than 31 days", async () => {
  // A trail of three years, as if the months had been made at their time.
  await owner.query(
    rawSql(`DO $$ BEGIN FOR n IN 2..36 LOOP EXECUTE format(
      'CREATE TABLE access.audit_records_%s PARTITION OF access.audit_records FOR VALUES FROM (%L) TO (%L)',
      to_char(date_trunc('month', now(), 'UTC') - make_interval(months => n), 'YYYY_MM'),
      date_trunc('month', now(), 'UTC') - make_interval(months => n),
      date_trunc('month', now(), 'UTC') - make_interval(months => n - 1)); END LOOP; END $$`),
  );
  expect(await partitions()).toHaveLength(39);
  await keepTrail(services, { retentionDays: 400, log: testLog() });
  const kept = await partitions();
  const oldest = new Date(Date.now() - 400 * 86_400_000).toISOString().slice(0, 7).replace("-", "_");
  expect(kept[0]).toBe(oldest);

  await expect(dropPartitions(services, 30)).rejects.toThrow("younger than 31 days");
  await expect(services.query(sql`SELECT access.drop_audit_partitions('infinity')`)).rejects.toThrow("younger");
  await expect(services.query(sql`SELECT access.drop_audit_partitions(NULL)`)).rejects.toThrow("younger");
  expect(await partitions()).toEqual(kept);
  await dropPartitions(services, 31);
  const month = (await partitions())[0] ?? "";
  const monthEnd = new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 1));
  expect(monthEnd.getTime()).toBeGreaterThan(Date.now() - 31 * 86_400_000);
  await store(services, "still works");
});

test("the functions can't be led astray by what the role makes itself", async () => {
  await services.transaction(async (tx) => {
    await tx.query(
      rawSql(`CREATE TEMP TABLE pg_inherits (inhrelid oid, inhparent oid);
        CREATE TEMP TABLE pg_class (oid oid, relname text, relnamespace oid);
        CREATE FUNCTION pg_temp.to_char(timestamptz, text) RETURNS text LANGUAGE sql RETURN 'x';
        CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql RETURN '2100-01-01'::timestamptz;
        INSERT INTO pg_temp.pg_class VALUES ('access.members'::regclass, 'audit_records_2000_01', 'access'::regnamespace);
        INSERT INTO pg_temp.pg_inherits VALUES ('access.members'::regclass, 'access.audit_records'::regclass);
        SET LOCAL search_path = pg_temp, pg_catalog`),
    );
    await tx.query(sql`SELECT access.create_audit_partitions(pg_catalog.now())`);
    await tx.query(sql`SELECT access.drop_audit_partitions(pg_catalog.now() - interval '31 days')`);
  });
  expect(await partitions()).toHaveLength(4);
  expect((await owner.query(sql`SELECT to_regclass('access.members')::text AS t`)).rows).toEqual([
    { t: "access.members" },
  ]);
  await expect(services.query(sql`SELECT access.drop_audit_partitions(now())`)).rejects.toThrow("younger");
});
