import { readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "@openhermit/postgres";
import type { TestProject } from "vitest/node";
import { temporaryDirectory } from "./temporary-directory.ts";
import { testLog } from "./test-log.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The one server of the run: its superuser in its first database. */
    postgresUrl: string;
  }
}

const PREFIX = "test-postgres-";

/** Starts the one PostgreSQL server of a vitest run, without fsync, and gives the tests its URL. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers();
  const directory = await temporaryDirectory(`${PREFIX}${process.pid}-`);
  const options = { directory: directory.path, log: testLog(), durable: false, maxConnections: 300 };
  const server = await startEmbeddedPostgres(options).catch(async (error: unknown) => {
    await directory.remove();
    throw error;
  });
  project.provide("postgresUrl", server.url);
  return async () => {
    await server.stop();
    await directory.remove();
  };
}

/** A run that was killed could not stop its server: takes over what is left of dead runs, stops it, removes it. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^openhermit-${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const directory = join(tmpdir(), name);
    try {
      const server = await startEmbeddedPostgres({ directory, log: testLog(), durable: false });
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    } catch {
      // Another run removes it at this moment, or another user's run left it.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
