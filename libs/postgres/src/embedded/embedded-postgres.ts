import { failedPrecondition, MeshError, toError } from "@openhermit/errors";
import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { createCluster, SERVER_DATABASE, SERVER_USER, SERVICE_USER } from "./cluster.ts";
import { freePort } from "./free-port.ts";
import { findPostmaster, isRunning, startPostmaster, stopPostmaster, type Postmaster } from "./postmaster.ts";
import { prepareServer } from "./prepare-server.ts";
import { removeOrphans } from "./remove-orphans.ts";
import { serverBinaries, type ServerBinaries } from "./server-binaries.ts";
import { atPlace } from "./server-fault.ts";
import { isCluster, isInside, openServerFiles, SHARED_DIRECTORY, type ServerFiles } from "./server-files.ts";

/** How to start an embedded server. */
export interface EmbeddedPostgresOptions {
  /** The absolute folder of this server, `<home>/postgres`. Made when missing. */
  directory: string;
  log: Log;
  /** Told what takes long: the first start. */
  onProgress?: (message: string) => void;
  /** False trades durability for speed: for tests only. Default true. */
  durable?: boolean;
  /** The most connections. Default 100. */
  maxConnections?: number;
}

/** A running embedded server. */
export interface EmbeddedPostgres {
  /**
   * `postgres://…` of the database `openhermit` as its superuser, with the password: for migrations and for tests. Stays the
   * same until the server is stopped.
   */
  readonly url: string;
  /** The same database as the ordinary role `openhermit_app`, which has the rights that `migrate` gives it. */
  readonly serviceUrl: string;
  /** Ends the server and waits until it is gone. Idempotent. */
  stop(): Promise<void>;
}

/** How often the server's process is looked at, in milliseconds. */
const WATCH_MS = 500;

/**
 * Starts a PostgreSQL server of this installation on loopback, with its data in the directory. A server that still
 * runs there, because its gateway was killed, is taken over. A server that dies is started again on the same port.
 *
 * As root the server runs as the user `postgres` or `nobody`; when that user cannot reach the directory, the data go
 * to /var/lib/openhermit, and `server.json` in the directory says where.
 *
 * Errors (failed_precondition): HOME_NOT_WRITABLE, DISK_FULL, EMBEDDED_POSTGRES_UNSUPPORTED, EMBEDDED_POSTGRES_ACCOUNT,
 * EMBEDDED_POSTGRES_OWNER, EMBEDDED_POSTGRES_GONE, EMBEDDED_POSTGRES_FAILED with the server's own words.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { directory, log, durable = true, maxConnections = 100, onProgress = () => undefined } = options;
  const settings = serverSettings(durable, maxConnections);
  const files = await atPlace(directory, () => openServerFiles(directory));
  const copies = files.account === undefined ? directory : SHARED_DIRECTORY;
  const binaries = await atPlace(copies, () => serverBinaries(files.account, copies, onProgress));
  if (!isInside(files.record.data, directory)) await removeOrphans(directory, files.record, log);
  const { record } = files;

  let running = await atPlace(record.data, async () => {
    if (!(await isCluster(record.data))) {
      if (record.ready) throw databaseGone(files);
      onProgress("creating the embedded database");
      await createCluster(binaries, files, durable);
    }
    return findPostmaster(record.data);
  });
  if (running === undefined) {
    running = await startOnFreePort(binaries, files, settings);
    log.info({ pid: running.pid, port: running.port, data: record.data }, "embedded postgres started");
  } else {
    log.info({ pid: running.pid, port: running.port, data: record.data }, "embedded postgres taken over");
  }
  try {
    const changed = record.port !== running.port || !record.ready;
    record.port = running.port;
    await prepareServer(serverUrl(files, "postgres"), record);
    record.ready = true;
    if (changed) await atPlace(directory, files.save);
  } catch (error) {
    await stopPostmaster(running, record.data);
    throw error;
  }
  const watch = watchPostmaster(running, binaries, files, settings, log);
  let stopping: Promise<void> | undefined;
  return {
    url: serverUrl(files, SERVER_DATABASE),
    serviceUrl: urlOf(SERVICE_USER, record.servicePassword, record.port, SERVER_DATABASE),
    stop() {
      stopping ??= (async () => {
        const last = await watch.end();
        await stopPostmaster(last, record.data);
        log.info({ pid: last.pid }, "embedded postgres stopped");
      })();
      return stopping;
    },
  };
}

function databaseGone({ record, recordFile }: ServerFiles): MeshError {
  return failedPrecondition("EMBEDDED_POSTGRES_GONE", `the embedded database is no longer in ${record.data}`, {
    hint: `Put it back, or remove ${recordFile} to begin with an empty one.`,
  });
}

function serverUrl({ record }: ServerFiles, database: string): string {
  return urlOf(SERVER_USER, record.password, record.port, database);
}

function urlOf(user: string, password: string, port: number, database: string): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
}

function serverSettings(durable: boolean, maxConnections: number): Record<string, string> {
  return {
    listen_addresses: "127.0.0.1",
    // Who can open a socket file has no more right than who knows the password; and none is left behind.
    unix_socket_directories: "",
    max_connections: String(maxConnections),
    shared_buffers: "64MB",
    // No replicas: less to write, and three processes less.
    wal_level: "minimal",
    max_wal_senders: "0",
    io_method: "sync",
    max_wal_size: "256MB",
    min_wal_size: "32MB",
    // Compiling costs more than it saves on statements that take a millisecond.
    jit: "off",
    log_min_messages: "warning",
    log_line_prefix: "%m [%p] ",
    ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
}

async function startOnFreePort(
  binaries: ServerBinaries,
  files: ServerFiles,
  settings: Record<string, string>,
): Promise<Postmaster> {
  const backoff = createBackoff({ initialMs: 50, maxMs: 1000 });
  for (;;) {
    try {
      return await startPostmaster(binaries, files, await freePort(files.record.port), settings);
    } catch (error) {
      // Another process took the port meanwhile, or processes of a killed server have not noticed its death yet.
      const passing = /Address already in use|pre-existing shared memory|postmaster\.pid" already exists/i;
      if (!(error instanceof MeshError) || !passing.test(error.message) || backoff.attempts >= 10) throw error;
      await new Promise((resolve) => setTimeout(resolve, backoff.next()));
    }
  }
}

/** Starts the server again when it dies, on its port, for the address has been handed out. */
function watchPostmaster(
  first: Postmaster,
  binaries: ServerBinaries,
  files: ServerFiles,
  settings: Record<string, string>,
  log: Log,
): { end(): Promise<Postmaster> } {
  const backoff = createBackoff({ initialMs: 100, maxMs: 4000 });
  let current = first;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  let busy: Promise<void> = Promise.resolve();

  const look = async (): Promise<void> => {
    let delayMs = WATCH_MS;
    try {
      if (!(await isRunning(current.pid)) && !ended) {
        log.error({ pid: current.pid }, "embedded postgres died");
        current =
          (await findPostmaster(files.record.data)) ??
          (await startPostmaster(binaries, files, files.record.port, settings));
        log.info({ pid: current.pid }, "embedded postgres restarted");
      }
      backoff.reset();
    } catch (error) {
      log.error({ err: toError(error) }, "embedded postgres not restarted");
      delayMs = backoff.next();
    }
    if (!ended) plan(delayMs);
  };
  const plan = (delayMs: number): void => {
    timer = setTimeout(() => {
      busy = look();
    }, delayMs);
    timer.unref();
  };
  plan(WATCH_MS);
  return {
    async end() {
      ended = true;
      clearTimeout(timer);
      await busy;
      return current;
    },
  };
}
