import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { Client, type ClientConfig } from "pg";
import { databaseUnavailable, describeFault } from "./database-error.ts";
import { quoteName } from "./sql.ts";

/** Whether the database can be used. */
export interface DatabaseStatus {
  ready: boolean;
  /** Since when it is so. */
  since: Date;
  /** Why it is not ready; empty when it is. */
  detail: string;
}

/** Ends a listener. */
export interface Subscription {
  /** No further calls. Idempotent. */
  close(): void;
}

/** The one dedicated connection that says whether the server is there and receives its notifications. */
export interface ControlConnection {
  status(): DatabaseStatus;
  onStatus(callback: (status: DatabaseStatus) => void): () => void;
  listen(channel: string, onMessage: (payload: string) => void, onSubscribed?: () => void): Subscription;
  /** Undefined when ready; a promise while the first attempt of a connection runs; throws while the server is away. */
  gate(): Promise<void> | undefined;
  end(): Promise<void>;
}

/** How often the connection is checked, and how long an answer may take, in milliseconds. */
const HEARTBEAT_MS = 5000;
const CONNECT_TIMEOUT_MS = 3000;

interface Listener {
  readonly channel: string;
  readonly onMessage: (payload: string) => void;
  readonly onSubscribed: (() => void) | undefined;
}

/**
 * Connects at once and again whenever the connection is lost: immediately, then after 0.1 s growing to at most 5 s.
 * A server that accepts connections but answers nothing for 5 s counts as away.
 *
 * `onHang` is called when the server stopped answering, so that other connections can be cut too.
 */
export function createControlConnection(options: {
  config: ClientConfig;
  log: Log;
  onHang: () => void;
  heartbeatMs?: number;
}): ControlConnection {
  const { config, log, onHang, heartbeatMs = HEARTBEAT_MS } = options;
  const backoff = createBackoff({ initialMs: 100, maxMs: 4000 });
  const listeners = new Set<Listener>();
  const watchers = new Set<(status: DatabaseStatus) => void>();
  let current: DatabaseStatus = { ready: false, since: new Date(), detail: "connecting" };
  let client: Client | undefined;
  /** Pending while queries should wait for the outcome of an attempt. */
  let attempt: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  /** The last statement handed to each connection: pg takes the next one when this one is done. */
  const lastStatement = new WeakMap<Client, Promise<unknown>>();

  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      log.error({ err: error }, "database listener failed");
    }
  };

  const become = (ready: boolean, detail: string): void => {
    if (current.ready === ready && current.detail === detail) return;
    const turned = current.ready !== ready;
    current = { ready, since: turned ? new Date() : current.since, detail };
    if (turned && ready) log.info("database connected");
    if (turned && !ready) log.warn({ detail }, "database connection lost");
    for (const watcher of watchers) guarded(() => watcher(current));
  };

  const run = (target: Client, statement: string): Promise<unknown> => {
    const before = lastStatement.get(target) ?? Promise.resolve();
    const result = before.catch(() => undefined).then(() => target.query(statement));
    lastStatement.set(target, result);
    return result;
  };

  const subscribe = async (target: Client, listener: Listener): Promise<void> => {
    try {
      await run(target, `LISTEN ${quoteName(listener.channel)}`);
      if (client === target && listeners.has(listener)) guarded(() => listener.onSubscribed?.());
    } catch (error) {
      // The connection is gone; the next one subscribes again.
      log.debug({ err: error, channel: listener.channel }, "listen failed");
    }
  };

  const lost = (target: Client, error: unknown): void => {
    if (client !== target || ended) return;
    client = undefined;
    clearTimeout(timer);
    target.end().catch(() => undefined);
    log.debug({ err: error }, "control connection lost");
    attempt = connect().finally(() => {
      attempt = undefined;
    });
  };

  const beat = async (target: Client): Promise<void> => {
    const hang = setTimeout(() => {
      onHang();
      cut(target);
      lost(target, new Error("no answer"));
    }, heartbeatMs);
    hang.unref();
    try {
      await run(target, "SELECT 1");
      if (client === target) schedule(heartbeatMs, () => void beat(target));
    } catch (error) {
      lost(target, error);
    } finally {
      clearTimeout(hang);
    }
  };

  function schedule(delayMs: number, work: () => void): void {
    clearTimeout(timer);
    timer = setTimeout(work, delayMs);
    timer.unref();
  }

  /** One attempt. Never rejects; a failure plans the next one. */
  async function connect(): Promise<void> {
    let target: Client | undefined;
    try {
      target = new Client({ ...config, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
      const connected = target;
      connected.on("error", (error) => lost(connected, error));
      connected.on("end", () => lost(connected, new Error("connection ended")));
      connected.on("notification", ({ channel, payload }) => {
        for (const listener of listeners) {
          if (listener.channel === channel) guarded(() => listener.onMessage(payload ?? ""));
        }
      });
      await connected.connect();
      if (ended) return await connected.end();
      client = connected;
      backoff.reset();
      become(true, "");
      for (const listener of listeners) void subscribe(connected, listener);
      schedule(heartbeatMs, () => void beat(connected));
    } catch (error) {
      if (target !== undefined) cut(target);
      if (ended) return;
      become(false, describeFault(error));
      // Later attempts run behind the back of the callers, whose queries are refused at once.
      schedule(backoff.next(), () => void connect());
    }
  }

  attempt = connect().finally(() => {
    attempt = undefined;
  });

  const refusal = (): Error => databaseUnavailable(ended ? "this gateway is stopping" : current.detail);
  const afterAttempt = async (running: Promise<void>): Promise<void> => {
    await running;
    if (client === undefined) throw refusal();
  };

  return {
    status: () => current,
    onStatus(callback) {
      watchers.add(callback);
      return () => watchers.delete(callback);
    },
    listen(channel, onMessage, onSubscribed) {
      const listener: Listener = { channel, onMessage, onSubscribed };
      listeners.add(listener);
      if (client !== undefined) void subscribe(client, listener);
      return {
        close() {
          listeners.delete(listener);
          if (client === undefined || [...listeners].some((other) => other.channel === channel)) return;
          run(client, `UNLISTEN ${quoteName(channel)}`).catch(() => undefined);
        },
      };
    },
    gate() {
      if (client !== undefined) return undefined;
      if (attempt !== undefined) return afterAttempt(attempt);
      throw refusal();
    },
    async end() {
      ended = true;
      clearTimeout(timer);
      const last = client;
      client = undefined;
      await attempt;
      if (last === undefined) return;
      const deadline = setTimeout(() => cut(last), 1000);
      await last.end().catch(() => undefined);
      clearTimeout(deadline);
    },
  };
}

/** Cuts the connection without a goodbye; what waits on it fails. */
export function cut(client: Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
