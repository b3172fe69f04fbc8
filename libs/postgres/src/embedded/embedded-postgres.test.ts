import { spawn } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDirectory, testLog, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createDatabase, rawSql, sql, startEmbeddedPostgres } from "../index.ts";
import { isRunning } from "./postmaster.ts";
import { canPass, canRead } from "./server-account.ts";

const isRoot = process.getuid?.() === 0;
let home: TemporaryDirectory;
beforeEach(async () => {
  home = await temporaryDirectory();
});
afterEach(() => home.remove());

const start = (log = testLog()) =>
  startEmbeddedPostgres({ directory: join(home.path, "postgres"), log, durable: false });

async function ask<Row>(url: string, statement: ReturnType<typeof sql>): Promise<Row[]> {
  const database = createDatabase({ url, log: testLog(), applicationName: "test", maxConnections: 1 });
  try {
    return (await database.query<Row>(statement)).rows;
  } finally {
    await database.end();
  }
}

const postmasterPid = async (data: string): Promise<number> =>
  Number((await readFile(join(data, "postmaster.pid"), "utf8")).split("\n")[0]);

async function dataOf(directory: string): Promise<string> {
  const record = JSON.parse(await readFile(join(directory, "server.json"), "utf8")) as { data: string };
  return record.data;
}

test("keeps its data and its address over a restart, is closed to who has no password, and leaves no process", async () => {
  const first = await start();
  await ask(first.url, sql`CREATE TABLE t AS SELECT 7 AS n`);
  const data = await dataOf(join(home.path, "postgres"));
  const pid = await postmasterPid(data);
  const wrong = new URL(first.url);
  wrong.password = "wrong";
  await expect(ask(wrong.href, sql`SELECT 1`)).rejects.toMatchObject({ reason: "DATABASE_UNAVAILABLE" });
  const [settings] = await ask<{ listen: string; bits: string }>(
    first.url,
    sql`SELECT current_setting('listen_addresses') AS listen, current_setting('unix_socket_directories') AS sockets`,
  );
  expect(settings).toEqual({ listen: "127.0.0.1", sockets: "" });
  for (const file of ["server.json", "server.log"]) {
    expect((await stat(join(home.path, "postgres", file))).mode & 0o777).toBe(0o600);
  }
  await first.stop();
  await first.stop();
  expect(await isRunning(pid)).toBe(false);

  const second = await start();
  expect(second.url).toBe(first.url);
  expect(await ask(second.url, sql`SELECT n FROM t`)).toEqual([{ n: 7 }]);
  await second.stop();
});

test("services work as a role that may do nothing by itself, also in a home of an earlier version", async () => {
  const identity = sql`SELECT current_user::text AS name, rolsuper AS super, rolcreatedb AS db, rolcreaterole AS role
    FROM pg_roles WHERE rolname = current_user`;
  const ordinary = [{ name: "openhermit_app", super: false, db: false, role: false }];
  const first = await start();
  expect(await ask(first.serviceUrl, identity)).toEqual(ordinary);
  await expect(ask(first.serviceUrl, sql`CREATE TABLE t (id int)`)).rejects.toMatchObject({ code: "42501" });
  await expect(ask(first.serviceUrl, rawSql("ALTER ROLE openhermit_app SUPERUSER"))).rejects.toMatchObject({
    code: "42501",
  });
  // As an earlier version left it: one role, one password.
  await ask(first.url, sql`CREATE TABLE t AS SELECT 7 AS n`);
  await ask(first.url, rawSql("DROP ROLE openhermit_app"));
  await first.stop();
  const file = join(home.path, "postgres", "server.json");
  const { servicePassword, ...old } = JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>;
  expect(servicePassword).not.toBe(old["password"]);
  await writeFile(file, JSON.stringify(old));

  const second = await start();
  expect(second.url).toBe(first.url);
  expect(await ask(second.url, sql`SELECT n FROM t`)).toEqual([{ n: 7 }]);
  expect(second.serviceUrl).not.toBe(first.serviceUrl);
  expect(await ask(second.serviceUrl, identity)).toEqual(ordinary);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await second.stop();

  // A record put back from a backup of the earlier version, beside a server that has the role already.
  await writeFile(file, JSON.stringify(old));
  const third = await start();
  expect(await ask(third.serviceUrl, identity)).toEqual(ordinary);
  await third.stop();
  const fourth = await start();
  expect(fourth.serviceUrl).toBe(third.serviceUrl);
  expect(await ask(fourth.serviceUrl, identity)).toEqual(ordinary);
  await fourth.stop();
});

test("takes over the server of a gateway that was killed, and stops it", async () => {
  const script = join(home.path, "gateway.mjs");
  await writeFile(
    script,
    `import { startEmbeddedPostgres } from ${JSON.stringify(new URL("../index.ts", import.meta.url).href)};
     const log = { debug() {}, info() {}, warn() {}, error() {} };
     const server = await startEmbeddedPostgres({ directory: ${JSON.stringify(join(home.path, "postgres"))}, log });
     console.log(server.url);
     setInterval(() => {}, 1000);`,
  );
  const gateway = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  gateway.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const url = await waitFor(() => /postgres:\S+/.exec(output)?.[0], { what: "the first gateway", deadlineMs: 20_000 });
  const pid = await postmasterPid(await dataOf(join(home.path, "postgres")));
  gateway.kill("SIGKILL");
  await waitFor(() => gateway.signalCode, { what: "the death of the first gateway" });

  const log = testLog();
  const second = await start(log);
  expect(second.url).toBe(url);
  expect(log.records()).toContainEqual(expect.objectContaining({ msg: "embedded postgres taken over", pid }));
  await second.stop();
  expect(await isRunning(pid)).toBe(false);
});

test("what a dead server left is no obstacle, even when its number belongs to another process now", async () => {
  const first = await start();
  const data = await dataOf(join(home.path, "postgres"));
  const pid = await postmasterPid(data);
  const pidFile = await readFile(join(data, "postmaster.pid"), "utf8");
  await first.stop();
  const owner = await stat(data);
  const other = spawn("sleep", ["60"], isRoot ? { uid: owner.uid, gid: owner.gid, cwd: "/" } : { cwd: "/" });
  try {
    await writeFile(join(data, "postmaster.pid"), pidFile.replace(String(pid), String(other.pid)));
    await mkdir(`${data}.new`);
    const second = await start();
    expect(await ask(second.url, sql`SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    await second.stop();
    expect(other.exitCode).toBeNull();
  } finally {
    other.kill();
  }
});

test("a port that is taken meanwhile is exchanged for a free one", async () => {
  const first = await start();
  await first.stop();
  const { createServer } = await import("node:net");
  const blocker = createServer().listen(Number(new URL(first.url).port), "127.0.0.1");
  try {
    const second = await start();
    expect(new URL(second.url).port).not.toBe(new URL(first.url).port);
    expect(await ask(second.url, sql`SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    await second.stop();
  } finally {
    blocker.close();
  }
});

test("a place that cannot be written is one clear sentence", async () => {
  await writeFile(join(home.path, "postgres"), "a file in the way");
  await expect(start()).rejects.toMatchObject({ code: "failed_precondition", reason: "HOME_NOT_WRITABLE" });
  await rm(join(home.path, "postgres"));
  await symlink("/proc/no/such/place", join(home.path, "postgres"));
  await expect(start()).rejects.toMatchObject({ reason: "HOME_NOT_WRITABLE" });
});

test("a start that fails says why in the server's words, and can be repeated", async () => {
  const first = await start();
  const data = await dataOf(join(home.path, "postgres"));
  await first.stop();
  await writeFile(join(data, "postgresql.auto.conf"), "no_such_setting = 1\n");
  await expect(start()).rejects.toMatchObject({
    reason: "EMBEDDED_POSTGRES_FAILED",
    message: expect.stringContaining("no_such_setting"),
  });
  await writeFile(join(data, "postgresql.auto.conf"), "");
  const again = await start();
  await again.stop();
});

test.runIf(isRoot)(
  "root's folders closed to the server's user: data and programs go where it can reach them",
  async () => {
    await chmod(home.path, 0o700);
    const server = await start();
    const data = await dataOf(join(home.path, "postgres"));
    expect(data.startsWith("/var/lib/openhermit/")).toBe(true);
    expect((await stat(data)).uid).not.toBe(0);
    expect((await stat(join(data, ".."))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(home.path, "postgres"))).not.toContain("data");
    expect(await ask(server.url, sql`SELECT 1 AS one`)).toEqual([{ one: 1 }]);
    await server.stop();
    const again = await start();
    expect(again.url).toBe(server.url);

    // A temporary home that is removed while its server runs, as by a test that was killed: the next start cleans up.
    const pid = await postmasterPid(data);
    await rm(home.path, { recursive: true });
    const next = await temporaryDirectory();
    try {
      await chmod(next.path, 0o700);
      const other = await startEmbeddedPostgres({
        directory: join(next.path, "postgres"),
        log: testLog(),
        durable: false,
      });
      expect(await isRunning(pid)).toBe(false);
      await expect(stat(join(data, ".."))).rejects.toMatchObject({ code: "ENOENT" });
      const otherData = await dataOf(join(next.path, "postgres"));
      await other.stop();
      await rm(join(otherData, ".."), { recursive: true });
    } finally {
      await again.stop();
      await next.remove();
    }
  },
);

test.runIf(isRoot)("a home that was removed and made again gets a new database, and the old one goes", async () => {
  await chmod(home.path, 0o700);
  const directory = join(home.path, "postgres");
  const first = await start();
  await ask(first.url, sql`CREATE TABLE t AS SELECT 7 AS n`);
  const data = await dataOf(directory);
  const pid = await postmasterPid(data);
  // As after kill -9 of all but the server: it still runs.
  await rm(directory, { recursive: true });
  const second = await start();
  expect(await ask(second.url, sql`SELECT to_regclass('t') AS t`)).toEqual([{ t: null }]);
  expect(await isRunning(pid)).toBe(false);
  await expect(stat(join(data, ".."))).rejects.toMatchObject({ code: "ENOENT" });
  await second.stop();
  await first.stop();
  await rm(join(await dataOf(directory), ".."), { recursive: true });
});

test("a database that is gone is named, and not silently replaced by an empty one", async () => {
  const first = await start();
  await first.stop();
  const data = await dataOf(join(home.path, "postgres"));
  await rm(data, { recursive: true });
  await expect(start()).rejects.toMatchObject({
    reason: "EMBEDDED_POSTGRES_GONE",
    message: `the embedded database is no longer in ${data}`,
  });
  await rm(join(home.path, "postgres/server.json"));
  const again = await start();
  await again.stop();
});

test.runIf(isRoot)("who may pass and read is told by the modes of the whole path", async () => {
  const account = { uid: 12345, gid: 12345 };
  const folder = join(home.path, "a", "b");
  await mkdir(folder, { recursive: true });
  const file = join(folder, "f");
  await writeFile(file, "x", { mode: 0o644 });
  await chmod(home.path, 0o700);
  expect(await canPass(account, folder)).toBe(false);
  expect(await canPass(undefined, folder)).toBe(true);
  for (const place of [home.path, join(home.path, "a"), folder]) await chmod(place, 0o711);
  expect(await canPass(account, folder)).toBe(true);
  expect(await canRead(account, file)).toBe(true);
  expect(await canRead(account, file, true)).toBe(false);
  await chmod(join(home.path, "a"), 0o755);
  await chmod(file, 0o640);
  expect(await canRead(account, file)).toBe(false);
  await chmod(join(home.path, "a"), 0o701);
  expect(await canPass({ uid: 12345, gid: 0 }, folder)).toBe(false);
});
