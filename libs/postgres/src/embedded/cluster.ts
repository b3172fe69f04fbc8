import { spawn } from "node:child_process";
import { chown, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { serverFault } from "./server-fault.ts";
import type { ServerBinaries } from "./server-binaries.ts";
import type { ServerFiles } from "./server-files.ts";

/** The superuser of every embedded server. */
export const SERVER_USER = "openhermit";
/** The ordinary role that services work with. It owns nothing. */
export const SERVICE_USER = "openhermit_app";
/** The database made at the first start. */
export const SERVER_DATABASE = "openhermit";

/** The surroundings of the server's programs: nothing of ours. */
export const SERVER_ENVIRONMENT = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

/** Makes the data directory, whole or not at all. */
export async function createCluster(binaries: ServerBinaries, files: ServerFiles, durable: boolean): Promise<void> {
  const { account, record } = files;
  const unfinished = `${record.data}.new`;
  const passwordFile = `${record.data}.password`;
  await rm(unfinished, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  try {
    await mkdir(unfinished, { mode: 0o700 });
    await writeFile(passwordFile, record.password, { mode: 0o600, flag: "wx" });
    if (account !== undefined) {
      await chown(unfinished, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    const args = [
      `--pgdata=${unfinished}`,
      `--username=${SERVER_USER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      // Sorts by code point, like COLLATE "C", and knows the case of every letter.
      "--encoding=UTF8",
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--no-instructions",
      // Small write-ahead files: a little database stays little, and there is less to zero at the first start.
      "--wal-segsize=4",
      // The password has 256 random bits; stretching it would only make each connection slower.
      "--set=scram_iterations=16",
      ...(durable ? [] : ["--no-sync"]),
    ];
    await runProgram(binaries.initdb, args, files);
    await rename(unfinished, record.data);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(passwordFile, { force: true });
  }
}

function runProgram(program: string, args: string[], { account, record }: ServerFiles): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...account,
      cwd: "/",
      env: SERVER_ENVIRONMENT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-4000);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", (error) => reject(serverFault(record.data, error.message, error)));
    child.on("close", (code) => (code === 0 ? resolve() : reject(serverFault(record.data, output))));
  });
}
