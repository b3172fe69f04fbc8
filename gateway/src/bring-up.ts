import { failedPrecondition, MeshError } from "@openhermit/errors";
import {
  changeableTables,
  migrate,
  readIdentity,
  type Database,
  type DatabaseStatus,
  type MigrationSet,
} from "@openhermit/postgres";
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
  /** What the services work with. */
  database: Database;
  /** Connects to the same database as the role that owns it, for migrations; without it `database` migrates. */
  openAdmin?: (() => Database) | undefined;
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
  let waitingFor = database;

  async function run(): Promise<void> {
    const admin = options.openAdmin?.();
    try {
      await attempts(admin ?? database);
    } finally {
      await admin?.end();
    }
  }

  async function attempts(admin: Database): Promise<void> {
    while (!over) {
      for (const target of new Set([admin, database])) {
        waitingFor = target;
        await databaseReady(target);
      }
      if (over) {
        return;
      }
      const started = performance.now();
      try {
        await migrate(admin, options.migrations, log, admin === database ? undefined : await serviceRole(admin));
        if (over) {
          return;
        }
        onProgress({ step: "migrations", ms: elapsed(started) });
        await options.start();
        up = true;
        void warnOfRights();
        return;
      } catch (error) {
        if (!(error instanceof MeshError && error.code === "unavailable")) {
          throw error;
        }
        log.warn({ err: error }, "database lost while starting");
      }
    }
  }

  /** The role of the services; undefined when it is the one that migrates. */
  async function serviceRole(admin: Database): Promise<string | undefined> {
    const [services, owner] = await Promise.all([readIdentity(database), readIdentity(admin)]);
    if (services.name !== owner.name) {
      throw failedPrecondition(
        "DATABASE_MISMATCH",
        `the services' database is "${services.name}", that of the migrations is "${owner.name}"`,
        { hint: "name the same database in OPENHERMIT_DATABASE_URL and OPENHERMIT_ADMIN_DATABASE_URL" },
      );
    }
    return services.role === owner.role ? undefined : services.role;
  }

  /** Says it once when the audit trail is protected from its own gateway by a trigger alone. */
  async function warnOfRights(): Promise<void> {
    try {
      const tables = await changeableTables(database, options.migrations);
      if (tables.length > 0) {
        log.warn(
          {
            tables,
            hint: "set OPENHERMIT_ADMIN_DATABASE_URL to the role that owns them, and OPENHERMIT_DATABASE_URL to one that owns nothing",
          },
          "database role could change append-only tables",
        );
      }
    } catch (error) {
      log.debug({ err: error }, "rights of the database role not read");
    }
  }

  async function databaseReady(target: Database): Promise<void> {
    if (target.status().ready) {
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
    const unwatch = target.onStatus(look);
    look(target.status());
    await Promise.race([promise, stopped.promise]);
    unwatch();
  }

  return {
    done: run(),
    isUp: () => up,
    status() {
      const status = (up ? database : waitingFor).status();
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
