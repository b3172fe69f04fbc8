import { setTimeout as setTimeoutPromise } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { timestampDate, type Duration } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { MeshError } from "@openhermit/errors";
import {
  AttachRequestSchema,
  type AttachRequest,
  type AttachResponse,
  type Hello,
  type Welcome,
} from "@openhermit/protocol/mesh/v1/link_service";
import { createBackoff } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";

import type { AccessTokens } from "../identity/access-token.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { GatewayConnection } from "./gateway-connection.ts";
import { createMessageQueue, type MessageQueue } from "./message-queue.ts";
import { publish } from "./publish-stream.ts";
import { isReplaced } from "./replaced.ts";

/** What the sidecar says on Attach. */
export type LinkMessage = Exclude<AttachRequest["message"], { case: undefined } | { case: "hello" } | { case: "pong" }>;
/** What the gateway says on Attach after Welcome. */
export type GatewayMessage = AttachResponse["message"];

/** How the link stands. */
export interface LinkStatus {
  attached: boolean;
  /** Since when. */
  since: Date;
  /** Why it is not attached; empty when it is. */
  detail: string;
}

/** Who uses the link. What `hello` and `welcomed` throw ends the attempt; the others must not throw. */
export interface LinkListener {
  /** Who the sidecar is now. */
  hello(): Hello;
  /** The gateway knows this sidecar: the link takes messages, nothing was received yet, and Publish is not open. */
  welcomed(welcome: Welcome): void;
  /** Something the gateway said after Welcome. */
  received(message: GatewayMessage): void;
  /** The status has changed. */
  statusChanged(status: LinkStatus): void;
}

/** Why a link ended for good: stopped by this side, or replaced by a newer attach, or never let in. */
export type LinkEnd = { reason: "stopped" } | { reason: "replaced" } | { reason: "refused"; error: MeshError };

/** The link to the gateway: kept up for as long as the sidecar lives. */
export interface Link {
  /** Starts to attach. */
  start(): void;
  /** Sends on Attach; false when not attached. */
  send(message: LinkMessage): boolean;
  /** How the link stands. */
  status(): LinkStatus;
  /** Resolves when the link has ended for good. */
  readonly ended: Promise<LinkEnd>;
  /** Ends the streams in good order, and the link. */
  stop(): Promise<void>;
}

/** What a link needs. */
export interface LinkOptions {
  connection: GatewayConnection;
  tokens: AccessTokens;
  outbox: Outbox;
  listener: LinkListener;
  log: Log;
}

const WELCOME_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 1000;
// An attach that lived this long was a good one: the next pause is the shortest again.
const GOOD_ATTACH_MS = 10_000;
const MAX_QUEUED = 10_000;

/** Makes a link that is not started. Between two attempts it waits 100 ms to 5 s, with jitter. */
export function createLink(options: LinkOptions): Link {
  const { connection, tokens, outbox, listener, log } = options;
  const backoff = createBackoff({ initialMs: 100, maxMs: 4000 });
  const stopping = new AbortController();
  const { promise: ended, resolve: end } = Promise.withResolvers<LinkEnd>();
  let status: LinkStatus = { attached: false, since: new Date(), detail: "the sidecar is starting" };
  let queue: MessageQueue<AttachRequest> | undefined;
  let started = false;
  let everAttached = false;

  const setStatus = (attached: boolean, detail: string): void => {
    if (status.attached === attached && status.detail === detail) return;
    status = { attached, since: status.attached === attached ? status.since : new Date(), detail };
    listener.statusChanged(status);
  };

  /** One attach, until it ends. Throws a ConnectError that says why, or returns when the gateway ended it in good order. */
  const attach = async (): Promise<void> => {
    const attempt = new AbortController();
    const { signal } = attempt;
    const abort = (error: unknown): void => attempt.abort(error);
    const call = { signal, headers: { authorization: `Bearer ${await tokens.get(stopping.signal)}` } };
    const up = createMessageQueue<AttachRequest>(MAX_QUEUED);
    const silence = (): void => abort(new ConnectError("the gateway has fallen silent", Code.Unavailable));
    let watchdog = setTimeout(silence, WELCOME_TIMEOUT_MS);
    let publishing: Promise<void> | undefined;
    const onStop = (): void => {
      up.end();
      setTimeout(abort, END_TIMEOUT_MS).unref();
    };
    stopping.signal.addEventListener("abort", onStop);
    try {
      up.push(create(AttachRequestSchema, { message: { case: "hello", value: listener.hello() } }));
      for await (const { message } of connection.link.attach(up, call)) {
        if (publishing === undefined) {
          if (message.case !== "welcome") throw new ConnectError("no Welcome came first", Code.InvalidArgument);
          const welcome = message.value;
          clearTimeout(watchdog);
          watchdog = setTimeout(silence, silenceLimit(welcome));
          queue = up;
          listener.welcomed(welcome);
          everAttached = true;
          log.info({ epoch: welcome.epoch.toString(), server_time: serverTime(welcome) }, "sidecar attached");
          setStatus(true, "");
          publishing = publish({ client: connection.link, outbox, epoch: welcome.epoch, call });
          // Without Publish nothing durable gets through: both streams end together.
          publishing.then(
            () => abort(new ConnectError("the gateway ended Publish", Code.Unavailable)),
            (error: unknown) => abort(error),
          );
          continue;
        }
        watchdog.refresh();
        if (message.case === "ping") {
          up.push(create(AttachRequestSchema, { message: { case: "pong", value: { id: message.value.id } } }));
        } else {
          listener.received(message);
        }
      }
    } catch (error) {
      // What ended the other stream, or our own patience, says more than that this one was cut off.
      throw signal.aborted && signal.reason !== undefined ? signal.reason : error;
    } finally {
      clearTimeout(watchdog);
      stopping.signal.removeEventListener("abort", onStop);
      queue = undefined;
      up.end();
      abort(new ConnectError("the attach has ended", Code.Canceled));
      await publishing?.catch(() => {});
    }
  };

  const run = async (): Promise<LinkEnd> => {
    for (;;) {
      const startedAt = performance.now();
      let failure: unknown = new ConnectError("the gateway ended the link", Code.Unavailable);
      try {
        await attach();
      } catch (error) {
        failure = error;
      }
      if (stopping.signal.aborted) return { reason: "stopped" };
      if (failure instanceof MeshError && failure.reason === "SIDECAR_NOT_JOINED" && !everAttached) {
        return { reason: "refused", error: failure };
      }
      const { code, message } = failure instanceof MeshError ? failure : ConnectError.from(failure);
      if (isReplaced(failure)) {
        setStatus(false, "another process has attached as this sidecar");
        return { reason: "replaced" };
      }
      if (code === Code.Unauthenticated) tokens.invalidate();
      // A connection that hangs is not used again.
      connection.drop();
      if (performance.now() - startedAt > GOOD_ATTACH_MS) backoff.reset();
      if (status.attached || backoff.attempts === 0) log.warn({ error: failure }, "link to the gateway lost");
      setStatus(false, `the gateway can't be reached: ${message}`);
      await pause(backoff.next(), stopping.signal);
      if (stopping.signal.aborted) return { reason: "stopped" };
    }
  };

  return {
    start() {
      started = true;
      run().then(end, (error: unknown) => {
        log.error({ error }, "link failed");
        end({ reason: "stopped" });
      });
    },
    send: (message) => queue?.push(create(AttachRequestSchema, { message })) ?? false,
    status: () => status,
    ended,
    async stop() {
      stopping.abort();
      if (!started) end({ reason: "stopped" });
      await Promise.race([ended, pause(2 * END_TIMEOUT_MS)]);
      tokens.stop();
      connection.drop();
    },
  };
}

function silenceLimit({ heartbeatInterval, lease }: Welcome): number {
  return Math.max(3 * milliseconds(heartbeatInterval), milliseconds(lease), 3000);
}

function milliseconds(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function serverTime({ serverTime: time }: Welcome): string | undefined {
  return time === undefined ? undefined : timestampDate(time).toISOString();
}

/** Waits; an abort ends it early. */
async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await setTimeoutPromise(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}
