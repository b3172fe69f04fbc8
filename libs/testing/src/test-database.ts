import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createDatabase, migrate, type Database, type MigrationSet } from "@openhermit/postgres";
import { Client } from "pg";
import { testLog } from "./test-log.ts";

/** A database of its own for one test file. */
export interface TestDatabase {
  readonly database: Database;
  /** For a second connection of the test's own. */
  readonly url: string;
  /** Makes a role without any right, as which services could work. It goes with the database. */
  ordinaryRole(): Promise<{ name: string; url: string }>;
  /** Ends `database` and drops it, whoever is still connected. */
  drop(): Promise<void>;
}

/** The key of the lock that lets one test file at a time build templates. */
const LOCK = 720_001;

/**
 * A new database with the migrations applied: a clone of a template that is made once for each state of the files. The
 * server is the one of the vitest run (global-setup.ts).
 */
export async function testDatabase(sets: readonly MigrationSet[]): Promise<TestDatabase> {
  // Loaded here, so that programs that only want waitFor run without vitest.
  const { inject } = await import("vitest");
  const serverUrl = inject("postgresUrl");
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await withAdmin(serverUrl, async (admin) => {
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${await template(admin, serverUrl, sets)}`);
  });
  const url = withDatabase(serverUrl, name);
  const database = createDatabase({ url, log: testLog(), applicationName: "test" });
  const roles: string[] = [];
  return {
    database,
    url,
    async ordinaryRole() {
      const role = `role_${randomUUID().replaceAll("-", "")}`;
      await withAdmin(serverUrl, async (admin) => {
        await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
      });
      roles.push(role);
      const own = new URL(url);
      own.username = role;
      own.password = role;
      return { name: role, url: own.href };
    },
    async drop() {
      await database.end();
      await withAdmin(serverUrl, async (admin) => {
        await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
        for (const role of roles) await admin.query(`DROP ROLE ${role}`);
      });
    },
  };
}

async function template(admin: Client, serverUrl: string, sets: readonly MigrationSet[]): Promise<string> {
  if (sets.length === 0) return "template0";
  const name = `template_${await hashOf(sets)}`;
  await admin.query("SELECT pg_advisory_lock($1)", [LOCK]);
  try {
    const { rowCount } = await admin.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
    if (rowCount === 0) {
      const unfinished = `unfinished_${name}`;
      await admin.query(`DROP DATABASE IF EXISTS ${unfinished} WITH (FORCE)`);
      await admin.query(`CREATE DATABASE ${unfinished} TEMPLATE template0`);
      const url = withDatabase(serverUrl, unfinished);
      const database = createDatabase({ url, log: testLog(), applicationName: "test template", maxConnections: 1 });
      try {
        await migrate(database, sets, testLog());
      } finally {
        await database.end();
      }
      await admin.query(`ALTER DATABASE ${unfinished} RENAME TO ${name}`);
    }
  } finally {
    await admin.query("SELECT pg_advisory_unlock($1)", [LOCK]);
  }
  return name;
}

async function hashOf(sets: readonly MigrationSet[]): Promise<string> {
  const hash = createHash("sha256");
  for (const set of sets) {
    for (const file of (await readdir(set.directory)).toSorted()) {
      hash.update(`${set.schema}/${file}\0`).update(await readFile(join(set.directory, file)));
    }
  }
  return hash.digest("hex").slice(0, 32);
}

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function withAdmin(serverUrl: string, work: (admin: Client) => Promise<void>): Promise<void> {
  const admin = new Client({ connectionString: serverUrl });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}
