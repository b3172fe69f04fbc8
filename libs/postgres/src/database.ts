import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { Pool, type Client, type PoolClient, type QueryResult, type QueryResultRow } from "pg";
import { createControlConnection, cut, type DatabaseStatus, type Subscription } from "./control-connection.ts";
import { isConnectionError, isRetryable, toCallerError } from "./database-error.ts";
import type { Sql } from "./sql.ts";
import { valueTypes } from "./value-types.ts";

/** What statements run on: the database, or one transaction of it. */
export interface Queryable {
  /**
   * Runs one statement. `rowCount` is the number of rows returned or changed.
   *
   * Errors: DATABASE_UNAVAILABLE at once while the server is away, also when the connection breaks under the
   * statement (it may have been done or not); DATABASE_BUSY, DATABASE_TIMEOUT, DATABASE_FULL, DATABASE_READ_ONLY;
   * else the server's own error.
   */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says what its statement selects
  query<Row = Record<string, unknown>>(statement: Sql): Promise<{ rows: Row[]; rowCount: number }>;
}

/** A PostgreSQL database that may go away and come back. */
export interface Database extends Queryable {
  /**
   * Runs the work in one transaction (READ COMMITTED): committed when it resolves, rolled back when it rejects.
   * After a serialization failure or a deadlock the work runs again, up to five times: it must be repeatable.
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /**
   * Receives what `pg_notify(channel, payload)` announces. `onSubscribed` is called at every subscription, also after
   * a reconnect: what was announced before it may be lost, so the listener reads again.
   */
  listen(channel: string, onMessage: (payload: string) => void, onSubscribed?: () => void): Subscription;
  /** Whether the server can be used, as seen by a connection that is checked every 5 s. */
  status(): DatabaseStatus;
  /** Calls back at each change of the status. Returns what ends it. */
  onStatus(callback: (status: DatabaseStatus) => void): () => void;
  /** How many statements were sent since the start, BEGIN and COMMIT included; checks of the connection are not. */
  statementCount(): number;
  /** Ends all connections; statements that still run after 5 s are cut. */
  end(): Promise<void>;
}

/** How to reach a database. */
export interface DatabaseOptions {
  /** `postgres://user:password@host:port/name`. Never logged. */
  url: string;
  log: Log;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** The most connections for statements; one more is used for notifications. Default 10. */
  maxConnections?: number;
  /** After how long the server gives a statement up, in milliseconds. Default 30,000. */
  statementTimeoutMs?: number;
}

const MAX_ATTEMPTS = 5;
/** How long a statement may wait for a free connection, in milliseconds. */
const CHECKOUT_TIMEOUT_MS = 10_000;
const END_GRACE_MS = 5000;

/** Connects to a database. Never throws and never takes the process down: an absent server only refuses queries. */
export function createDatabase(options: DatabaseOptions): Database {
  const { url, log, applicationName, maxConnections = 10, statementTimeoutMs = 30_000 } = options;
  const config = {
    connectionString: url,
    application_name: applicationName,
    keepAlive: true,
    types: valueTypes,
    statement_timeout: statementTimeoutMs,
  };
  const clients = new Set<Client>();
  const pool = new Pool({
    ...config,
    max: maxConnections,
    min: Math.min(2, maxConnections),
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: CHECKOUT_TIMEOUT_MS,
  });
  pool.on("error", (error) => log.debug({ err: error }, "idle database connection lost"));
  pool.on("connect", (client) => {
    clients.add(client);
    // A connection that breaks while in use also rejects its statement; the event alone must not end the process.
    client.on("error", () => undefined);
  });
  pool.on("remove", (client) => clients.delete(client as Client));
  const cutAll = (): void => clients.forEach(cut);
  const control = createControlConnection({ config, log, onHang: cutAll });
  const brokenClients = new WeakSet<PoolClient>();
  let sent = 0;
  let ending: Promise<void> | undefined;

  /** Tells a broken connection and a fault of the server from what the caller's own work throws. */
  async function onClient<T>(client: PoolClient, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isConnectionError(error)) brokenClients.add(client);
      throw toCallerError(error);
    }
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as Queryable.query
  async function run<Row>(client: PoolClient, statement: Sql): Promise<{ rows: Row[]; rowCount: number }> {
    sent += 1;
    const { text, name, values } = statement;
    const query = name === undefined || name === "" || text === "" ? { text, values } : { name, text, values };
    // Raw text without parameters may hold several statements; pg then returns a result for each.
    const result = (await onClient(client, () => client.query<QueryResultRow>(query))) as QueryResult | QueryResult[];
    const last = Array.isArray(result) ? result.at(-1) : result;
    return { rows: (last?.rows ?? []) as Row[], rowCount: last?.rowCount ?? 0 };
  }

  async function withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const gate = control.gate();
    if (gate !== undefined) await gate;
    const client = await pool.connect().catch((error: unknown) => {
      throw toCallerError(error);
    });
    try {
      return await work(client);
    } finally {
      client.release(brokenClients.has(client));
    }
  }

  async function runTransaction<T>(client: PoolClient, work: (tx: Queryable) => Promise<T>): Promise<T> {
    const command = async (text: string): Promise<void> => {
      sent += 1;
      await onClient(client, () => client.query(text));
    };
    await command("BEGIN");
    try {
      const value = await work({ query: async (statement) => run(client, statement) });
      await command("COMMIT");
      return value;
    } catch (error) {
      if (!brokenClients.has(client)) await command("ROLLBACK");
      throw error;
    }
  }

  return {
    // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as Queryable.query
    async query<Row>(statement: Sql) {
      return withClient((client) => run<Row>(client, statement));
    },
    async transaction(work) {
      const backoff = createBackoff({ initialMs: 5, maxMs: 100, jitter: 0.5 });
      for (;;) {
        try {
          return await withClient((client) => runTransaction(client, work));
        } catch (error) {
          if (!isRetryable(error) || backoff.attempts >= MAX_ATTEMPTS - 1) throw error;
          log.debug({ err: error }, "transaction repeated");
          await new Promise((resolve) => setTimeout(resolve, backoff.next()));
        }
      }
    },
    listen: control.listen,
    status: control.status,
    onStatus: control.onStatus,
    statementCount: () => sent,
    end() {
      ending ??= (async () => {
        const deadline = setTimeout(cutAll, END_GRACE_MS);
        await Promise.all([control.end(), pool.end()]);
        clearTimeout(deadline);
      })();
      return ending;
    },
  };
}
