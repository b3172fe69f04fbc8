import { temporaryDirectory, testDatabase, testLog, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createControlConnection } from "./control-connection.ts";
import { createDatabase, rawSql, sql, startEmbeddedPostgres, type Database } from "./index.ts";

let directory: TemporaryDirectory;
beforeAll(async () => {
  directory = await temporaryDirectory();
});
afterAll(() => directory.remove());

const start = () => startEmbeddedPostgres({ directory: directory.path, log: testLog() });
const readPid = async (database: Database): Promise<number> => {
  const { rows } = await database.query<{ pid: number }>(
    sql`SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int AS pid`,
  );
  return rows[0]?.pid ?? 0;
};

test("a server that comes, goes, is killed and comes back: queries are refused at once, and all heals", async () => {
  let server = await start();
  const { url } = server;
  await server.stop();

  const database = createDatabase({ url, log: testLog(), applicationName: "test" });
  const subscriptions: number[] = [];
  const heard: string[] = [];
  database.listen(
    "c",
    (payload) => heard.push(payload),
    () => subscriptions.push(Date.now()),
  );
  const refused = { code: "unavailable", reason: "DATABASE_UNAVAILABLE" };
  try {
    await expect(database.query(sql`SELECT 1`)).rejects.toMatchObject(refused);
    await expect(database.transaction(async (tx) => tx.query(sql`SELECT 1`))).rejects.toMatchObject(refused);
    expect(database.status()).toMatchObject({ ready: false, detail: expect.stringContaining("ECONNREFUSED") });
    expect(database.status().detail).not.toContain(new URL(url).password);

    server = await start();
    expect(server.url).toBe(url);
    await waitFor(() => database.status().ready, { what: "the first connection" });
    await database.query(rawSql("CREATE TABLE kept (id int)"));
    await database.query(sql`INSERT INTO kept VALUES (${1})`);
    await waitFor(() => subscriptions.length === 1, { what: "the first subscription" });

    // A statement under way when the server is killed is refused, not left hanging.
    const pid = await readPid(database);
    const hanging = database.query(sql`SELECT pg_sleep(20)`);
    const changes: boolean[] = [];
    database.onStatus((status) => changes.push(status.ready));
    process.kill(pid, "SIGKILL");
    await expect(hanging).rejects.toMatchObject(refused);
    // Nobody calls start: the embedded server restarts itself, on its port.
    await waitFor(() => changes.at(-1) === true, { what: "the healing", deadlineMs: 20_000 });
    expect(changes).toContain(false);
    expect((await database.query(sql`SELECT id FROM kept`)).rows).toEqual([{ id: 1 }]);
    expect(await readPid(database)).not.toBe(pid);
    await waitFor(() => subscriptions.length === 2, { what: "the second subscription" });
    await database.query(sql`SELECT pg_notify('c', 'after')`);
    await waitFor(() => heard.includes("after"), { what: "a message after the healing" });
  } finally {
    await database.end();
    await server.stop();
  }
});

test("only the connections are cut: statements right after wait for the new one and succeed", async () => {
  const clone = await testDatabase([]);
  try {
    await clone.database.query(sql`SELECT 1`);
    const killer = createDatabase({ url: clone.url, log: testLog(), applicationName: "killer", maxConnections: 1 });
    await killer.query(
      sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'test' AND datname = current_database()`,
    );
    await killer.end();
    await waitFor(async () => (await clone.database.query(sql`SELECT 1 AS one`)).rows.length === 1, {
      what: "a statement on a new connection",
    });
    expect(clone.database.status().ready).toBe(true);
  } finally {
    await clone.drop();
  }
});

test("a server that accepts but does not answer is noticed", async () => {
  const clone = await testDatabase([]);
  let hangs = 0;
  const connection = createControlConnection({
    config: { connectionString: clone.url, application_name: "control" },
    log: testLog(),
    heartbeatMs: 50,
    onHang: () => {
      hangs += 1;
    },
  });
  const stopped: number[] = [];
  try {
    await connection.gate();
    const { rows } = await clone.database.query<{ pid: number }>(
      sql`SELECT pid FROM pg_stat_activity WHERE application_name = 'control' AND datname = current_database()`,
    );
    const pid = rows[0]?.pid ?? 0;
    expect(pid).toBeGreaterThan(0);
    process.kill(pid, "SIGSTOP");
    stopped.push(pid);
    await waitFor(() => hangs > 0, { what: "the hang" });
    await waitFor(() => connection.status().ready, { what: "a new connection" });
    expect(hangs).toBe(1);
  } finally {
    for (const pid of stopped) process.kill(pid, "SIGCONT");
    await connection.end();
    await clone.drop();
  }
});
