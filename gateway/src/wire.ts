import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import {
  accessMigrations,
  createAccessService,
  type AccessService,
  type AccessServiceOptions,
} from "@openhermit/access-service";
import { activityMigrations, createActivityService } from "@openhermit/activity-service";
import { catalogMigrations, createCatalogService } from "@openhermit/catalog-service";
import {
  createFleetService,
  fleetMigrations,
  type FleetService,
  type LauncherOptions,
} from "@openhermit/fleet-service";
import { createHealthService, healthMigrations, type HealthService } from "@openhermit/health-service";
import { createManifestService } from "@openhermit/manifest-service";
import { createMeshService, meshMigrations, type MeshService } from "@openhermit/mesh-service";
import type { Database, DatabaseStatus, MigrationSet } from "@openhermit/postgres";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import { createSessionsService, sessionsMigrations } from "@openhermit/sessions-service";
import type { Log, Telemetry } from "@openhermit/telemetry";

import { actorOf, callerOf, principalOf } from "./access/caller.ts";
import { compileSnapshots } from "./compile-snapshots.ts";
import { withKnownOrigin } from "./known-origin.ts";
import { createMeshMetrics } from "./mesh-metrics.ts";

/** What the services are made of. */
export interface WireOptions {
  database: Database;
  log: Log;
  telemetry: Telemetry;
  /** New at each start. */
  gatewayId: string;
  /** Where sidecars on this host reach the gateway. */
  gatewayUrl(): string;
  /** Whether the services can use the database: it is there, and its schema is up to date. */
  databaseStatus(): DatabaseStatus;
  launcher: LauncherOptions;
  /** What access is set to, and the methods that its scopes open. */
  access: Pick<AccessServiceOptions, "methods" | "tokenPepper" | "auditRetentionDays">;
}

/** The services, wired. */
export interface Services {
  routes(router: ConnectRouter): void;
  readonly access: AccessService;
  readonly fleet: Pick<FleetService, "routes" | "stopAll" | "teamOfAgent">;
  readonly health: Pick<HealthService, "summary">;
  readonly mesh: Pick<MeshService, "verifyAccessToken" | "createJoinToken">;
  /** Starts the tasks. The database is migrated and the port is open. */
  start(): Promise<void>;
  /** Ends the tasks and the streams. */
  close(): Promise<void>;
}

/** The schemas of all domains. */
export const migrations: readonly MigrationSet[] = [
  accessMigrations,
  meshMigrations,
  fleetMigrations,
  catalogMigrations,
  sessionsMigrations,
  activityMigrations,
  healthMigrations,
];

/** Makes the services and fills the ports of each with the functions of the others. */
export function wireServices(options: WireOptions): Services {
  const { database, gatewayId, telemetry } = options;
  const metrics = createMeshMetrics(telemetry.meter, database);
  const access = createAccessService({
    ...options.access,
    database,
    log: options.log.child({ domain: "access" }),
    principal: principalOf,
    actor: actorOf,
    ports: {
      teamOfAgent: (agentId) => fleet.teamOfAgent(agentId),
      agentIds: () => fleet.ownedAgentIds(),
      existingAgentIds: () => fleet.knownAgentIds(),
      gatewayUrl: options.gatewayUrl,
    },
  });
  const parts = (domain: string) => ({
    database,
    caller: callerOf,
    audit: (context: HandlerContext) => access.recordChanges(actorOf(context)),
    log: options.log.child({ domain }),
  });

  /** Whether the caller holds a right on the thing of an id. */
  const may = (context: HandlerContext, resource: string, verb: "read" | "write", id: string): boolean => {
    const principal = principalOf(context);
    const decision = principal && access.decide(principal, resource, verb);
    return decision?.granted === true && decision.covers(id);
  };

  const catalog = createCatalogService({
    ...parts("catalog"),
    ports: {
      holdTeams: (tx, agentIds) => fleet.holdTeams(tx, agentIds),
      agentTeams: (tx) => fleet.agentTeams(tx),
      agentIds: () => fleet.knownAgentIds(),
      componentReports: (name) => health.components(name),
      mayWrite: (context, resource, id) => may(context, resource, "write", id),
    },
  });
  const activity = createActivityService(parts("activity"));
  const health = createHealthService({
    ...parts("health"),
    ports: { agents: () => fleet.agents(), databaseStatus: options.databaseStatus },
  });
  const sessions = createSessionsService({
    ...parts("sessions"),
    gatewayId,
    ports: {
      agentForTurn: (agentId) => fleet.agentForTurn(agentId),
      offerTurn: (agentId, turn) => mesh.offerTurn(agentId, turn),
      cancelTurn: (agentId, turnId, reason) => mesh.cancelTurn(agentId, turnId, reason),
      hasLink: (agentId) => mesh.hasLink(agentId),
      recordEvents: (events) => activity.append(events),
    },
  });
  const fleet = createFleetService({
    ...parts("fleet"),
    launcher: options.launcher,
    ...ollama(options.launcher.environment["OLLAMA_HOST"]),
    ports: {
      isTeam: (teamId) => access.isTeam(teamId),
      createJoinToken: (sidecarId, agentIds) => mesh.createJoinToken(sidecarId, agentIds),
      drainSidecar: (sidecarId, graceMs) => mesh.drainSidecar(sidecarId, graceMs),
      revokeSidecars: (sidecarIds) => mesh.revokeSidecars(sidecarIds),
      gatewayUrl: options.gatewayUrl,
      recordEvents: (events) => activity.append(events),
      async forgetAgents(tx, agentIds) {
        await catalog.forgetAgents(tx, agentIds);
        await health.forgetAgents(tx, agentIds);
        await access.forgetAgents(tx, agentIds);
      },
      catalogRevisions: (agentIds) => catalog.revisionsFor(agentIds),
      secretNames: (agentIds) => catalog.secretNamesFor(agentIds),
    },
  });
  const manifest = createManifestService({
    ...parts("manifest"),
    ports: {
      providerNames: (tx) => fleet.providerNames(tx),
      agentTeams: (tx) => fleet.agentTeams(tx),
      storedDefaults: (tx) => fleet.storedDefaults(tx),
      isTeam: (teamId) => access.isTeam(teamId),
      may,
      applyFleet: (tx, wanted, apply) => fleet.applyFleet(tx, wanted, apply),
      applyCatalog: (tx, wanted, apply) => catalog.applyCatalog(tx, wanted, apply),
      manifestApplied: (deletedAgentIds) => fleet.manifestApplied(deletedAgentIds),
      exportFleet: (tx, reach) => fleet.exportFleet(tx, reach),
      exportCatalog: (tx, reach) => catalog.exportCatalog(tx, reach),
      effectiveValues: (db, agentIds) => fleet.effectiveValues(db, agentIds),
      catalogsFor: (agentIds) => catalog.catalogsFor(agentIds),
      lastChanges: (db, targets) => access.lastChanges(db, targets),
    },
  });
  const mesh = createMeshService({
    ...parts("mesh"),
    auditOfSidecar: (context, id) =>
      access.recordChanges({ ...actorOf(context), subject: { kind: SubjectKind.SIDECAR, id } }),
    gatewayId,
    ports: {
      compileSnapshots: (agentIds) => compileSnapshots({ fleet, catalog }, agentIds),
      readBundle: (agentId, digest) => catalog.readBundle(agentId, digest),
      mayJoinExternally: (agentIds, reach) => fleet.mayJoinExternally(agentIds, reach),
      async sidecarAttached(link) {
        metrics.attached(link);
        await fleet.sidecarAttached(link);
      },
      async sidecarDetached(link) {
        metrics.detached(link);
        // One that was replaced has a newer link, perhaps on another gateway, and has reported there.
        if (link.reason !== "replaced") health.sidecarLeft(link.agentIds.filter((agentId) => !mesh.hasLink(agentId)));
        await fleet.sidecarDetached(link);
      },
      snapshotAnswered: (answer) => fleet.snapshotAnswered(answer),
      healthReported: (agentId, components) => health.reported(agentId, components),
      reconcileTurns: (link, turns) => sessions.reconcileTurns(link, turns),
      linkReady: (agentIds) => sessions.linkReady(agentIds),
      turnAccepted: (turnId, attempt) => sessions.turnAccepted(turnId, attempt),
      turnRefused: (turnId, attempt, reason, detail) => sessions.turnRefused(turnId, attempt, reason, detail),
      ingestStatements: (batch) => [
        ...sessions.ingestStatements(batch),
        ...(batch.events.length > 0
          ? [activity.ingestStatement(withKnownOrigin(batch.events, sessions.senderOf))]
          : []),
      ],
      ingested(batch) {
        sessions.ingested(batch);
        activity.ingested(batch.events.map(({ event }) => event));
        metrics.ingested(batch);
      },
      ephemeral: (items, sidecarId) => sessions.ephemeral(items, sidecarId),
      readTranscript: (agentIds, sessionId, after) => sessions.readTranscript(agentIds, sessionId, after),
    },
  });
  telemetry.meter
    .createObservableGauge("openhermit_turns_live", { description: "Turns in the hands of this gateway." })
    .addCallback((result) => result.observe(sessions.counts().live));
  fleet.onChanged((agentIds) => mesh.refreshSnapshots(agentIds));
  catalog.onChanged((agentIds) => mesh.refreshSnapshots(agentIds));

  const services = [access, mesh, fleet, catalog, sessions, activity, health, manifest];
  return {
    access,
    fleet,
    health,
    mesh,
    routes: (router) => services.forEach((service) => service.routes(router)),
    async start() {
      await access.start();
      catalog.start();
      activity.start();
      await mesh.start();
      await sessions.start();
      fleet.start();
      // Not before is the gateway ready: a message would be refused for want of its agent.
      await fleet.agentsRead();
    },
    async close() {
      await fleet.close();
      await mesh.close();
      await Promise.all([sessions.close(), activity.close(), catalog.close(), health.close()]);
      // Last: it still writes what was denied.
      await access.close();
    },
  };
}

function ollama(host: string | undefined): { ollamaHost?: string } {
  return host === undefined || host === "" ? {} : { ollamaHost: host };
}
