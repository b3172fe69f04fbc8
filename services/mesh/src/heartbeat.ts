import { create } from "@bufbuild/protobuf";
import { unavailable } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { AttachResponseSchema } from "@openhermit/protocol/mesh/v1/link_service";
import { createPeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { listExpiredLeases, releaseLease, renewLeases } from "./lease-store.ts";
import type { LinkRegistry } from "./link-registry.ts";
import { superseded } from "./mesh-errors.ts";
import type { MeshPorts } from "./mesh-ports.ts";
import type { SidecarLink } from "./sidecar-link.ts";

const PING_BYTES = 16;

/** Pings the sidecars and keeps their leases. */
export interface Heartbeat {
  /** Renews at once, for example to find out which links were fenced while nothing could be heard. */
  poke(): void;
  stop(): Promise<void>;
}

/**
 * Starts the heartbeat: a Ping to every sidecar and one statement for the leases of all that answered, each period; and
 * the end of links and leases that gave no sign of life for a lease.
 */
export function createHeartbeat(options: {
  database: Queryable;
  registry: LinkRegistry;
  ports: Pick<MeshPorts, "sidecarAttached" | "sidecarDetached">;
  gatewayId: string;
  heartbeatMs: number;
  leaseMs: number;
  log: Log;
}): Heartbeat {
  const { database, registry, ports, gatewayId, heartbeatMs, leaseMs, log } = options;
  let pingId = 0n;
  let lastPingRun = performance.now();
  /** Since when every renewal has succeeded; leases are judged only after a whole lease of that. */
  let healthySince: number | undefined;
  const renewedAt = new WeakMap<SidecarLink, number>();
  /** Links whose lease had been taken for lost, so that the fleet has to be told that they are attached. */
  const unreported = new WeakSet<SidecarLink>();

  const pingTask = createPeriodicTask({
    name: "ping-sidecars",
    periodMs: heartbeatMs,
    onError: (error) => log.error({ error }, "heartbeat failed"),
    async run() {
      const now = performance.now();
      // After a pause of this process the Pongs lie unread: that silence is our own.
      const paused = now - lastPingRun > 2 * heartbeatMs + 1000;
      lastPingRun = now;
      pingId += 1n;
      const ping = create(AttachResponseSchema, { message: { case: "ping", value: { id: pingId } } });
      for (const link of registry.all()) {
        if (!link.welcomed) continue;
        if (!paused && now - link.lastPongAt > leaseMs) {
          link.end("lease", leaseLost(link.sidecarId, leaseMs));
        } else if (!link.outgoing.push(ping, PING_BYTES)) {
          log.debug({ sidecar_id: link.sidecarId }, "no room for a ping");
        }
      }
    },
  });

  const renew = async (): Promise<void> => {
    const renewing: SidecarLink[] = [];
    for (const link of registry.all()) {
      if (link.welcomed && link.lastPongAt > (renewedAt.get(link) ?? -1)) renewing.push(link);
    }
    if (renewing.length === 0) return;
    const startedAt = performance.now();
    const renewed = await renewLeases(database, gatewayId, leaseMs, renewing);
    for (const link of renewing) {
      const answer = renewed.get(link.sidecarId);
      if (answer === undefined) {
        link.end("replaced", superseded(link.sidecarId));
        continue;
      }
      renewedAt.set(link, startedAt);
      if (answer.restored) unreported.add(link);
      if (link.endReason === undefined && unreported.has(link)) {
        await ports.sidecarAttached(link);
        unreported.delete(link);
      }
    }
  };

  const expire = async (): Promise<void> => {
    for (const lease of await listExpiredLeases(database)) {
      const here = registry.of(lease.sidecarId);
      if (here !== undefined && here.epoch >= lease.epoch) continue;
      log.warn({ sidecar_id: lease.sidecarId }, "lease of a sidecar ran out");
      try {
        await ports.sidecarDetached({ ...lease, reason: "lease" });
        await releaseLease(database, lease);
      } catch (error) {
        log.warn({ error, sidecar_id: lease.sidecarId }, "lost lease could not be reported, retrying");
      }
    }
  };

  const leaseTask = createPeriodicTask({
    name: "renew-leases",
    periodMs: heartbeatMs,
    onError(error) {
      healthySince = undefined;
      log.warn({ error }, "leases could not be renewed, retrying");
    },
    async run() {
      await renew();
      healthySince ??= performance.now();
      if (performance.now() - healthySince > leaseMs) await expire();
    },
  });

  return {
    poke: () => leaseTask.poke(),
    async stop() {
      await Promise.all([pingTask.stop(), leaseTask.stop()]);
    },
  };
}

function leaseLost(sidecarId: string, leaseMs: number): Error {
  return unavailable("LEASE_LOST", `sidecar "${sidecarId}" answered no ping for ${leaseMs / 1000} s`, {
    hint: "Attach again.",
    fields: { sidecar_id: sidecarId },
  });
}
