import { MeshError } from "@openhermit/errors";
import { migrate, type Database, type DatabaseStatus, type MigrationSet } from "@openhermit/postgres";
import type { Log } from "@openhermit/telemetry";

import type { OnProgress } from "./progress.ts";

/** The way from a database that may be away to services that run. */
export interface BringUp {
  /** Resolves when the schema is up to date and the services run; rejects when that can't become true by waiting. */
  readonly done: Promise<void>;
  /** Whether the services run: true from then on, also while the database is away again. */
  isUp(): boolean;
  /** Whether the services can use the database now. */
  status(): DatabaseStatus;
  /** Gives up. */
  stop(): void;
}

/** Waits for the database, for as long as it takes, migrates it, and starts the services. */
export function bringUp(options: {
  database: Database;
  migrations: readonly MigrationSet[];
  log: Log;
  start(): Promise<void>;
  onProgress: OnProgress;
}): BringUp {
  const { database, log, onProgress } = options;
  const since = new Date();
  const stopped = Promise.withResolvers<void>();
  let over = false;
  let up = false;

  async function run(): Promise<void> {
    while (!over) {
      await databaseReady();
      const started = performance.now();
      try {
        await migrate(database, options.migrations, log);
        if (over) {
          return;
        }
        onProgress({ step: "migrations", ms: elapsed(started) });
        await options.start();
        up = true;
        return;
      } catch (error) {
        if (!(error instanceof MeshError && error.code === "unavailable")) {
          throw error;
        }
        log.warn({ err: error }, "database lost while starting");
      }
    }
  }

  async function databaseReady(): Promise<void> {
    if (database.status().ready) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    let told = "";
    const look = (status: DatabaseStatus) => {
      if (status.ready) {
        resolve();
      } else if (status.detail !== told && status.detail !== "" && status.detail !== "connecting") {
        told = status.detail;
        onProgress({ step: "waiting", message: status.detail });
        log.warn({ detail: status.detail }, "waiting for the database");
      }
    };
    const unwatch = database.onStatus(look);
    look(database.status());
    await Promise.race([promise, stopped.promise]);
    unwatch();
  }

  return {
    done: run(),
    isUp: () => up,
    status() {
      const status = database.status();
      return up || !status.ready ? status : { ready: false, since, detail: "the database is being prepared" };
    },
    stop() {
      over = true;
      stopped.resolve();
    },
  };
}

/** Whole milliseconds since a reading of performance.now(). */
export function elapsed(started: number): number {
  return Math.round(performance.now() - started);
}
