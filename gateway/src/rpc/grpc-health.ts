import { setTimeout as delay } from "node:timers/promises";

import type { ConnectRouter } from "@connectrpc/connect";
import { notFound } from "@openhermit/errors";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@openhermit/protocol/grpc/health";

/** How the gateway is, in one word. */
export type HealthWord = "OK" | "DEGRADED" | "DOWN";

const WATCH_PERIOD_MS = 1_000;

/**
 * Serves grpc.health.v1. Everybody may check and is told one word: SERVING while the gateway can do its work, for
 * every service alike; to list and to watch needs the right to read the health. Call it after every other service is
 * registered.
 */
export function registerGrpcHealth(router: ConnectRouter, word: () => Promise<HealthWord>): void {
  const names = new Set(["", ...router.handlers.map((handler) => handler.service.typeName), Health.typeName]);
  const status = async () => ((await word()) === "DOWN" ? ServingStatus.NOT_SERVING : ServingStatus.SERVING);
  router.service(Health, {
    async check({ service }) {
      if (!names.has(service)) {
        throw notFound("SERVICE_UNKNOWN", `no service "${service}" is served here`, { fields: { service } });
      }
      return { status: await status() };
    },
    async list() {
      const now = { status: await status() };
      return { statuses: Object.fromEntries([...names].map((name) => [name, now])) };
    },
    async *watch({ service }, context) {
      let told: ServingStatus | undefined;
      while (!context.signal.aborted) {
        // A service that is not known may become so; the contract wants the stream to stay.
        const now = names.has(service) ? await status() : ServingStatus.SERVICE_UNKNOWN;
        if (now !== told) {
          told = now;
          yield { status: now };
        }
        await delay(WATCH_PERIOD_MS, undefined, { signal: context.signal }).catch(() => {});
      }
    },
  });
}
