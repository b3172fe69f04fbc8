import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { callerName, reachOf, type Caller, type Reach } from "@openhermit/caller";
import type { Database, MigrationSet, Queryable } from "@openhermit/postgres";
import type { ComponentHealth, FleetHealth } from "@openhermit/protocol/health/v1/health";
import { HealthService as HealthRpc } from "@openhermit/protocol/health/v1/health_service";
import type { Log } from "@openhermit/telemetry";
import { fleetHealth, type AgentView, type DatabaseView } from "./fleet-health.ts";
import { createReportMemory } from "./report-memory.ts";
import { deleteReports, HEALTH_CHANNEL } from "./report-store.ts";
import { createSyncTask } from "./tasks/sync-reports.ts";

/** The tables of health. */
export const healthMigrations: MigrationSet = {
  schema: "health",
  directory: fileURLToPath(new URL("../migrations", import.meta.url)),
};

/** What health needs of others. */
export interface HealthPorts {
  /** All agents. May fail without a database; then the last known ones are taken. */
  agents(): Promise<readonly AgentView[]>;
  databaseStatus(): DatabaseView;
}

/** What the health domain is made of. */
export interface HealthServiceOptions {
  database: Database;
  log: Log;
  caller: (context: HandlerContext) => Caller;
  ports: HealthPorts;
}

/** The health domain. */
export interface HealthService {
  routes(router: ConnectRouter): void;
  close(): Promise<void>;
  /** Takes all that a sidecar says of an agent. Never fails and does not wait for the database: it is written behind. */
  reported(agentId: string, components: readonly ComponentHealth[]): Promise<void>;
  /**
   * The health of the gateway and of the agents in reach, as if there were no others; of everything when nobody's reach is
   * given. Answers within about 2 s, also without a database.
   */
  summary(reach?: Reach): Promise<FleetHealth>;
  /** The sidecars of these agents have left; what they said of components no longer holds. Never fails, is written behind. */
  sidecarLeft(agentIds: readonly string[]): void;
  /**
   * What the sidecars that are attached last said of one component, by agent; who said nothing of it is left out. From
   * memory.
   */
  components(name: string): ReadonlyMap<string, ComponentHealth>;
  /**
   * Removes what is known of agents that a transaction deletes, on every gateway when it commits.
   * Errors: DATABASE_UNAVAILABLE.
   */
  forgetAgents(tx: Queryable, agentIds: readonly string[]): Promise<void>;
}

/** How long to wait for the agents before the last known ones are taken, in milliseconds. */
const AGENTS_DEADLINE_MS = 2000;

/** Makes the health of the fleet, and shares reports with other gateways as soon as there is a database. */
export function createHealthService(options: HealthServiceOptions): HealthService {
  const { database, log, caller, ports } = options;
  const instance = randomUUID();
  const memory = createReportMemory();
  const sync = createSyncTask({ database, log, memory, instance });
  let lastViews: readonly AgentView[] = [];

  const readAgents = async (): Promise<void> => {
    try {
      lastViews = await ports.agents();
    } catch (error) {
      log.debug({ err: error }, "agents not read for health");
    }
  };

  const summary = async (reach?: Reach): Promise<FleetHealth> => {
    const deadline = new AbortController();
    await Promise.race([
      readAgents(),
      delay(AGENTS_DEADLINE_MS, undefined, { signal: deadline.signal, ref: false }).catch(() => undefined),
    ]);
    deadline.abort();
    const views = reach === undefined ? lastViews : lastViews.filter(({ agentId }) => reach.has(agentId));
    return fleetHealth(ports.databaseStatus(), views, memory.reports);
  };

  const subscription = database.listen(
    HEALTH_CHANNEL,
    (payload) => {
      const [sender, agentId] = payload.split(" ");
      if (sender === instance || agentId === undefined) return;
      memory.markUnread([agentId]);
      sync.poke();
    },
    () => {
      memory.markUnread("all");
      sync.poke();
    },
  );

  return {
    async close() {
      subscription.close();
      await sync.stop();
    },
    async reported(agentId, components) {
      if (memory.put(agentId, components, new Date())) sync.poke();
    },
    summary,
    sidecarLeft(agentIds) {
      const now = new Date();
      if (agentIds.filter((agentId) => memory.leave(agentId, now)).length > 0) sync.poke();
    },
    components(name) {
      const found = new Map<string, ComponentHealth>();
      for (const [agentId, { components, attached }] of memory.reports) {
        if (!attached) continue;
        const item = components.find((each) => each.name === name);
        if (item !== undefined) found.set(agentId, item);
      }
      return found;
    },
    async forgetAgents(tx, agentIds) {
      if (agentIds.length > 0) await deleteReports(tx, agentIds);
    },
    routes(router) {
      router.service(HealthRpc, {
        async getFleetHealth(_request, context) {
          const who = caller(context);
          log.debug({ caller: callerName(who) }, "health asked");
          return { health: await summary(reachOf(who)) };
        },
      });
    },
  };
}
