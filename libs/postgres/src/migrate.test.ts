import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  temporaryDirectory,
  testDatabase,
  testLog,
  type TemporaryDirectory,
  type TestDatabase,
} from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { changeableTables, createDatabase, migrate, rawSql, sql, type Database, type MigrationSet } from "./index.ts";

let directory: TemporaryDirectory;
let db: TestDatabase;
beforeEach(async () => {
  [directory, db] = await Promise.all([temporaryDirectory(), testDatabase([])]);
});
afterEach(() => Promise.all([directory.remove(), db.drop()]));

async function setOf(schema: string, files: Record<string, string>): Promise<MigrationSet> {
  const folder = join(directory.path, schema);
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return { schema, directory: folder };
}

const applied = async (): Promise<unknown[]> =>
  (await db.database.query(sql`SELECT domain, name FROM openhermit.migrations ORDER BY domain, number`)).rows;

test("each set runs once, in its schema, also with several gateways at once", async () => {
  const sets = [
    await setOf("one", {
      "0001-make.sql": "CREATE TABLE t (id int); SELECT pg_sleep(0.05);",
      "0002-add.sql": "INSERT INTO t VALUES (1)",
    }),
    await setOf("two", { "0001-make.sql": "CREATE TABLE two.t (id int); INSERT INTO t VALUES (2)" }),
  ];
  const others = [1, 2, 3].map((n) => createDatabase({ url: db.url, log: testLog(), applicationName: `gateway ${n}` }));
  await Promise.all(others.map((other) => migrate(other, sets, testLog())));
  await Promise.all(others.map((other) => other.end()));
  await migrate(db.database, sets, testLog());
  expect((await db.database.query(sql`SELECT * FROM one.t UNION ALL SELECT * FROM two.t`)).rows).toEqual([
    { id: 1 },
    { id: 2 },
  ]);
  expect(await applied()).toEqual([
    { domain: "one", name: "0001-make.sql" },
    { domain: "one", name: "0002-add.sql" },
    { domain: "two", name: "0001-make.sql" },
  ]);
  await setOf("one", { "0003-more.sql": "INSERT INTO t VALUES (3)" });
  await migrate(db.database, sets, testLog());
  expect((await db.database.query(sql`SELECT id FROM one.t ORDER BY id`)).rows).toEqual([{ id: 1 }, { id: 3 }]);
});

test("a failing migration leaves nothing behind and names its file", async () => {
  const set = await setOf("one", {
    "0001-make.sql": "CREATE TABLE t (id int)",
    "0002-bad.sql": "CREATE TABLE t (id int)",
  });
  await expect(migrate(db.database, [set], testLog())).rejects.toThrow("one/0002-bad.sql");
  const { rows } = await db.database.query(
    sql`SELECT to_regclass('one.t') AS t, to_regclass('openhermit.migrations') AS m`,
  );
  expect(rows).toEqual([{ t: null, m: null }]);
});

test("a changed file and a newer database are refused", async () => {
  const set = await setOf("one", { "0001-make.sql": "CREATE TABLE t\n(id int)" });
  await migrate(db.database, [set], testLog());
  // A checkout with other line ends is not a change.
  await setOf("one", { "0001-make.sql": "CREATE TABLE t\r\n(id int)" });
  await migrate(db.database, [set], testLog());
  await setOf("one", { "0001-make.sql": "CREATE TABLE t (id bigint)" });
  await expect(migrate(db.database, [set], testLog())).rejects.toMatchObject({
    reason: "MIGRATION_CHANGED",
    message: expect.stringContaining("one/0001-make.sql"),
  });
  await setOf("one", { "0001-make.sql": "CREATE TABLE t\n(id int)" });
  await db.database.query(sql`INSERT INTO openhermit.migrations VALUES ('one', 7, '0007-future.sql', 'x')`);
  await expect(migrate(db.database, [set], testLog())).rejects.toMatchObject({
    code: "failed_precondition",
    reason: "DATABASE_NEWER",
    message: expect.stringContaining("one/0007-future.sql"),
  });
});

test("badly named files and numbers used twice are defects of the program", async () => {
  const bad = await setOf("one", { "1-make.sql": "" });
  await expect(migrate(db.database, [bad], testLog())).rejects.toThrow("must be named like");
  const twice = await setOf("two", { "0001-a.sql": "", "0001-b.sql": "" });
  await expect(migrate(db.database, [twice], testLog())).rejects.toThrow("used twice");
});

const TABLES = `
  CREATE TABLE open (id int GENERATED ALWAYS AS IDENTITY, n int);
  CREATE TABLE log (n serial, at int NOT NULL) PARTITION BY RANGE (at);
  CREATE TABLE log_0 PARTITION OF log FOR VALUES FROM (0) TO (10);
  CREATE FUNCTION one.double(n int) RETURNS int LANGUAGE sql RETURN 2 * n;
  REVOKE ALL ON FUNCTION one.double(int) FROM PUBLIC;`;

async function withRole<T>(work: (services: Database, role: string) => Promise<T>): Promise<T> {
  const { name, url } = await db.ordinaryRole();
  const services = createDatabase({ url, log: testLog(), applicationName: "services", maxConnections: 1 });
  try {
    return await work(services, name);
  } finally {
    await services.end();
  }
}

test("the services' role reads and writes rows, only adds to append-only tables, and makes nothing", async () => {
  const set = { ...(await setOf("one", { "0001-make.sql": TABLES })), appendOnly: ["log"] };
  await withRole(async (services, role) => {
    // Repeatable: at each start, and with several gateways at once.
    await Promise.all([1, 2].map(() => migrate(db.database, [set], testLog(), role)));
    await services.query(sql`INSERT INTO one.open (n) VALUES (1)`);
    await services.query(sql`UPDATE one.open SET n = one.double(n)`);
    await services.query(sql`INSERT INTO one.log (at) VALUES (1)`);
    expect((await services.query(sql`SELECT at FROM one.log, one.open WHERE open.n = 2`)).rows).toEqual([{ at: 1 }]);
    expect(await changeableTables(services, [set])).toEqual([]);
    expect(await changeableTables(db.database, [set])).toEqual([`"one"."log"`]);
    await services.query(sql`DELETE FROM one.open`);
    for (const statement of [
      "UPDATE one.log SET at = 2",
      "DELETE FROM one.log",
      "TRUNCATE one.log",
      "INSERT INTO one.log_0 (at) VALUES (2)",
      "SELECT FROM one.log_0",
      "DELETE FROM one.log_0",
      "ALTER TABLE one.log DETACH PARTITION one.log_0",
      "DROP TABLE one.log_0",
      "TRUNCATE one.open",
      "DROP TABLE one.open",
      "CREATE TABLE one.more (id int)",
      "CREATE SCHEMA more",
      "UPDATE openhermit.migrations SET checksum = ''",
    ]) {
      const done = services.query(rawSql(statement)).then(
        () => `done: ${statement}`,
        (error: unknown) => (error as { code?: string }).code,
      );
      expect(await done).toBe("42501");
    }

    // What somebody gave on top is taken back where the log would suffer.
    await db.database.query(rawSql(`GRANT DELETE ON one.log, one.log_0 TO ${role}`));
    expect(await changeableTables(services, [set])).toEqual([`"one"."log"`]);
    await migrate(db.database, [set], testLog(), role);
    expect(await changeableTables(services, [set])).toEqual([]);
    await expect(services.query(sql`DELETE FROM one.log_0`)).rejects.toMatchObject({ code: "42501" });
  });
});

test("the services' role alone starts what is up to date, and is told what it lacks when it is not", async () => {
  const set = await setOf("one", { "0001-make.sql": "CREATE TABLE t (id int)" });
  const denied = { reason: "DATABASE_PERMISSION", hint: expect.stringContaining("OPENHERMIT_ADMIN_DATABASE_URL") };
  await withRole(async (services, role) => {
    await expect(migrate(services, [set], testLog())).rejects.toMatchObject(denied);
    await migrate(db.database, [set], testLog(), role);
    await migrate(services, [set], testLog());
    await setOf("one", { "0002-more.sql": "ALTER TABLE t ADD COLUMN n int" });
    await expect(migrate(services, [set], testLog())).rejects.toMatchObject(denied);
    await migrate(db.database, [set], testLog(), role);
    await migrate(services, [set], testLog());
    expect(await applied()).toHaveLength(2);
  });
});
