import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "@openhermit/telemetry";
import { createDatabase, rawSql, sql, startEmbeddedPostgres } from "../../libs/postgres/src/index.ts";

/** One statement, as the server saw it. */
export interface CountedStatement {
  /** Its text, with `$1` for values. */
  readonly text: string;
  readonly calls: number;
  /** How long all of them took together, ms. */
  readonly totalMs: number;
}

/** A PostgreSQL server that counts what is asked of it (pg_stat_statements). */
export interface CountingPostgres {
  readonly url: string;
  /** Forgets what was counted. */
  reset(): Promise<void>;
  /** What was asked since then, by anybody else; the most frequent first. */
  statements(): Promise<CountedStatement[]>;
  stop(): Promise<void>;
}

/** Starts a durable server in a temporary folder. */
export async function startCountingPostgres(): Promise<CountingPostgres> {
  const log = createLog({ service: "bench", level: "error" });
  const home = mkdtempSync(join(tmpdir(), "openhermit-bench-"));
  const directory = join(home, "postgres");
  const open = (url: string) => createDatabase({ url, log, applicationName: "bench", maxConnections: 1 });

  // The module that counts is loaded at the start of a server only.
  let server = await startEmbeddedPostgres({ directory, log });
  let database = open(server.url);
  await database.query(rawSql("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"));
  await database.end();
  await server.stop();
  server = await startEmbeddedPostgres({ directory, log });
  database = open(server.url);
  await database.query(rawSql("CREATE EXTENSION pg_stat_statements"));

  return {
    url: server.url,
    async reset() {
      await database.query(sql`SELECT pg_stat_statements_reset()`);
    },
    async statements() {
      const { rows } = await database.query<{ text: string; calls: bigint; totalMs: number }>(sql`
        SELECT query AS text, calls, total_exec_time AS "totalMs" FROM pg_stat_statements
        WHERE query !~ 'pg_stat_statements' ORDER BY calls DESC`);
      return rows.map(({ calls, ...row }) => ({ ...row, calls: Number(calls) }));
    },
    async stop() {
      await database.end();
      await server.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
