import type { Log } from "@openhermit/telemetry";
import { createBackoff } from "@openhermit/reconcile";

import type { Enrollment } from "./enrollment.ts";

/** The access token, kept fresh. */
export interface AccessTokens {
  /** A token with at least 10 s to live; asks for a new one if there is none. Errors: those of Enrollment.issueToken. */
  get(signal: AbortSignal): Promise<string>;
  /** The gateway did not take it: the next get asks for a new one. */
  invalidate(): void;
  /** Stops the renewal. */
  stop(): void;
}

/** What access tokens need. */
export interface AccessTokenOptions {
  enrollment: Enrollment;
  log: Log;
  /** A source of numbers from 0 to below 1. Default Math.random. */
  random?: () => number;
}

const LEAST_LIFE_MS = 10_000;

/**
 * Keeps an access token fresh: renews it at half of its life, give or take 10 %, so that a new stream never waits for one.
 * A renewal that fails is tried again after 1 s to 30 s.
 */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { enrollment, log, random = Math.random } = options;
  const backoff = createBackoff({ initialMs: 1000, maxMs: 30_000, random });
  const stopped = new AbortController();
  let current: { accessToken: string; expiresAt: number } | undefined;
  let asking: Promise<string> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const schedule = (delayMs: number): void => {
    clearTimeout(timer);
    if (!stopped.signal.aborted) timer = setTimeout(renew, delayMs).unref();
  };
  const ask = async (signal: AbortSignal): Promise<string> => {
    const { accessToken, lifetimeMs } = await enrollment.issueToken(signal);
    // The monotonic clock: this host's wall clock may be wrong.
    current = { accessToken, expiresAt: performance.now() + lifetimeMs };
    backoff.reset();
    schedule(lifetimeMs * (0.45 + 0.1 * random()));
    return accessToken;
  };
  const askOnce = (signal: AbortSignal): Promise<string> => {
    asking ??= ask(signal).finally(() => {
      asking = undefined;
    });
    return asking;
  };
  function renew(): void {
    askOnce(stopped.signal).catch((error: unknown) => {
      if (stopped.signal.aborted) return;
      log.debug({ error }, "access token not renewed");
      schedule(backoff.next());
    });
  }

  return {
    async get(signal) {
      if (current !== undefined && current.expiresAt - performance.now() > LEAST_LIFE_MS) return current.accessToken;
      return askOnce(AbortSignal.any([signal, stopped.signal]));
    },
    invalidate() {
      current = undefined;
    },
    stop() {
      stopped.abort();
      clearTimeout(timer);
    },
  };
}
