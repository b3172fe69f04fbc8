import { createDatabase, sql, type Database, type MigrationSet } from "@openhermit/postgres";
import { temporaryDirectory, testDatabase, testLog, waitFor, type TestDatabase } from "@openhermit/testing";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { bringUp } from "./bring-up.ts";
import type { GatewayProgress } from "./progress.ts";

const undo: (() => Promise<unknown>)[] = [];
let db: TestDatabase;
let log: ReturnType<typeof testLog>;
let migrations: MigrationSet[];
let told: GatewayProgress[];
beforeEach(async () => {
  log = testLog();
  told = [];
  db = await testDatabase([]);
  undo.push(() => db.drop());
  const directory = await temporaryDirectory();
  undo.push(() => directory.remove());
  await mkdir(join(directory.path, "one"));
  await writeFile(join(directory.path, "one", "0001-make.sql"), "CREATE TABLE log (n int)");
  migrations = [{ schema: "one", directory: join(directory.path, "one"), appendOnly: ["log"] }];
});
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

function open(url: string, applicationName = "services"): Database {
  const database = createDatabase({ url, log: testLog(), applicationName, maxConnections: 1 });
  undo.push(() => database.end());
  return database;
}

function bring(database: Database, adminUrl?: string) {
  return bringUp({
    database,
    openAdmin: adminUrl === undefined ? undefined : () => open(adminUrl, "migrations"),
    migrations,
    log,
    start: async () => {
      await database.query(sql`INSERT INTO one.log VALUES (1)`);
    },
    onProgress: (progress) => told.push(progress),
  });
}

const warnings = () => log.records().filter(({ level }) => level === 40);

test("the owner migrates, the services' role adds, and no connection of the owner is left", async () => {
  const services = open((await db.ordinaryRole()).url);
  for (let i = 0; i < 2; i++) await bring(services, db.url).done;
  await expect(services.query(sql`DELETE FROM one.log`)).rejects.toMatchObject({ code: "42501" });
  expect((await services.query(sql`SELECT n FROM one.log`)).rows).toEqual([{ n: 1 }, { n: 1 }]);
  const { rows } = await db.database.query(
    sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'migrations'`,
  );
  expect(rows).toEqual([]);
  expect(warnings()).toEqual([]);
  expect(told).toContainEqual(expect.objectContaining({ step: "migrations" }));
});

test("one role that owns everything is warned of once, whether it is named once or twice", async () => {
  for (const adminUrl of [undefined, db.url]) {
    log = testLog();
    await bring(open(db.url), adminUrl).done;
    await waitFor(() => warnings().length > 0, { what: "the warning" });
    expect(warnings()).toEqual([
      expect.objectContaining({
        msg: "database role could change append-only tables",
        tables: [`"one"."log"`],
        hint: expect.stringContaining("OPENHERMIT_ADMIN_DATABASE_URL"),
      }),
    ]);
  }
});

test("the services' role without its owner is told what to set, and starts what is up to date", async () => {
  const services = open((await db.ordinaryRole()).url);
  await expect(bring(services).done).rejects.toMatchObject({ reason: "DATABASE_PERMISSION" });
  await bring(services, db.url).done;
  await bring(services).done;
});

test("two databases are a mistake", async () => {
  const other = await testDatabase([]);
  undo.push(() => other.drop());
  const services = open((await db.ordinaryRole()).url);
  await expect(bring(services, other.url).done).rejects.toMatchObject({ reason: "DATABASE_MISMATCH" });
});

test("while the owner can't log in it waits, and says so without the password", async () => {
  const services = open((await db.ordinaryRole()).url);
  const owner = await db.ordinaryRole();
  const url = new URL(owner.url);
  url.password = "wrong-password";
  const up = bring(services, url.href);
  await waitFor(() => told.some(({ step }) => step === "waiting"), { what: "the word that it waits" });
  expect(up.isUp()).toBe(false);
  expect(up.status()).toMatchObject({
    ready: false,
    detail: expect.stringContaining("password authentication failed"),
  });
  expect(JSON.stringify([told, log.records()])).not.toContain("wrong-password");
  up.stop();
  await up.done;
  expect(up.isUp()).toBe(false);
});
