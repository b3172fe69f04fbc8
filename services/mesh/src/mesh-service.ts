import { setTimeout as delay } from "node:timers/promises";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import type { Caller, RecordChanges } from "@openhermit/caller";
import type { Database, Subscription } from "@openhermit/postgres";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { LinkService, type RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { createPeriodicTask, type PeriodicTask } from "@openhermit/reconcile";
import type { Log } from "@openhermit/telemetry";
import { createAttachStreams } from "./attach-stream.ts";
import { createBundleReads } from "./bundle-reads.ts";
import { createEnrollmentService } from "./enrollment-service.ts";
import { sweepExpired } from "./enrollment-store.ts";
import { createEnrollment, type VerifiedSidecar } from "./enrollment.ts";
import { createGatewayKeys } from "./gateway-key.ts";
import { createHeartbeat, type Heartbeat } from "./heartbeat.ts";
import { createIngest } from "./ingest.ts";
import { hasLease } from "./lease-store.ts";
import { parseLinkNotice } from "./link-notices.ts";
import { createLinkRegistry } from "./link-registry.ts";
import { createLinkService } from "./link-service.ts";
import { announceDrain, revokeAndFence } from "./link-store.ts";
import { gatewayStopping, revoked, superseded } from "./mesh-errors.ts";
import type { MeshPorts } from "./mesh-ports.ts";
import { createPublishStreams } from "./publish-stream.ts";
import { createSidecarIdentities } from "./sidecar-identities.ts";
import { createSnapshotPush } from "./snapshot-push.ts";
import { createTurnOffers } from "./turn-offers.ts";

const KEY_RENEWAL_MS = 3_600_000;
const SWEEP_MS = 60_000;
const FLUSH_GRACE_MS = 2000;
const DRAIN_POLL_MS = 250;

/** What the mesh service is made of. */
export interface MeshServiceOptions {
  database: Database;
  log: Log;
  /** A name of this gateway process that no other has. */
  gatewayId: string;
  caller(context: HandlerContext): Caller;
  /** Writes what a call changes into the audit trail. */
  audit(context: HandlerContext): RecordChanges;
  /** The same for a sidecar that has proved who it is with the call itself. */
  auditOfSidecar(context: HandlerContext, sidecarId: string): RecordChanges;
  ports: MeshPorts;
  /** How often sidecars are pinged, in milliseconds. Default 5,000. */
  heartbeatMs?: number;
  /** How long a sidecar counts as alive after its last Pong, in milliseconds. Default 20,000. */
  leaseMs?: number;
}

/** The mesh link's side of the gateway. */
export interface MeshService {
  routes(router: ConnectRouter): void;
  /** Listens to the other gateways and starts the background tasks. Works without a database, and heals. */
  start(): Promise<void>;
  /** Ends all streams, and the flush in flight within 2 s. */
  close(): Promise<void>;
  /** Undefined when the token is not valid now. Throws unavailable when that can't be found out. No statement on the normal path. */
  verifyAccessToken(token: string): Promise<VerifiedSidecar | undefined>;
  /** A single-use token that lets one sidecar join within 10 minutes, whoever starts it. */
  createJoinToken(sidecarId: string, agentIds: readonly string[]): Promise<{ joinToken: string; expireTime: Date }>;
  /** Sends the turn, at the pace of its link. False when no sidecar that hosts the agent is ready on this gateway, or too much waits. */
  offerTurn(agentId: string, turn: RunTurn): boolean;
  /** False when no sidecar that hosts the agent is attached to this gateway. */
  cancelTurn(agentId: string, turnId: string, reason: string): boolean;
  /** Whether a sidecar that hosts the agent is attached to this gateway. */
  hasLink(agentId: string): boolean;
  /** Sends Drain, also through another gateway; resolves when the stream ended or the grace (milliseconds) is over. */
  drainSidecar(sidecarId: string, graceMs: number): Promise<void>;
  /** Revokes the sidecars' keys and fences their streams. Each is back after a new join. */
  revokeSidecars(sidecarIds: readonly string[]): Promise<void>;
  /** Compiles again what is hosted here of these agents, and sends what changed. */
  refreshSnapshots(agentIds: readonly string[] | "all"): void;
}

/** Creates the mesh service: EnrollmentService and LinkService and what is behind them. */
export function createMeshService(options: MeshServiceOptions): MeshService {
  const { database, log, gatewayId, caller, ports, heartbeatMs = 5000, leaseMs = 20_000 } = options;
  const registry = createLinkRegistry();
  const keys = createGatewayKeys({ database, gatewayId });
  const snapshots = createSnapshotPush({
    registry,
    compile: (agentIds) => ports.compileSnapshots(agentIds),
    onReady(agentIds) {
      try {
        ports.linkReady(agentIds);
      } catch (error) {
        log.error({ error }, "agents could not be reported ready");
      }
    },
    log,
  });
  const ingest = createIngest({
    database,
    statements: (batch) => ports.ingestStatements(batch),
    ingested: (batch) => ports.ingested(batch),
    log,
  });
  const publishStreams = createPublishStreams({ database, registry, ingest, ports });
  const attachStreams = createAttachStreams({
    database,
    registry,
    snapshots,
    ports,
    gatewayId,
    heartbeatMs,
    leaseMs,
    onEpoch: (sidecarId, epoch) => publishStreams.fence(sidecarId, epoch, superseded(sidecarId)),
    log,
  });
  const bundleReads = createBundleReads({ read: (agentId, digest) => ports.readBundle(agentId, digest) });
  const identities = createSidecarIdentities({ database });
  const enrollment = createEnrollment({ database, keys, identities });
  const offers = createTurnOffers({ registry, ports, log });
  let heartbeat: Heartbeat | undefined;
  let tasks: PeriodicTask[] = [];
  let subscription: Subscription | undefined;

  const fence = (sidecarId: string, epoch: bigint, cause: "replaced" | "revoked"): void => {
    identities.forget(sidecarId);
    const error = cause === "revoked" ? revoked(sidecarId) : superseded(sidecarId);
    publishStreams.fence(sidecarId, epoch, error);
    const link = registry.of(sidecarId);
    if (link !== undefined && link.epoch < epoch) link.end("replaced", error);
  };

  const onNotice = (payload: string): void => {
    const notice = parseLinkNotice(payload);
    switch (notice?.kind) {
      case "fence":
        fence(notice.sidecarId, notice.epoch, notice.cause);
        return;
      case "drain":
        offers.drain(notice.sidecarId, notice.graceMs);
        return;
      case "key":
        keys.reload().catch((error: unknown) => log.debug({ error }, "gateway keys could not be read"));
        return;
      case undefined:
        return;
    }
  };

  const task = (name: string, periodMs: number, run: () => Promise<void>): PeriodicTask =>
    createPeriodicTask({ name, periodMs, run, onError: (error) => log.debug({ error, task: name }, "task failed") });

  return {
    routes(router) {
      router.service(
        EnrollmentService,
        createEnrollmentService({
          enrollment,
          caller,
          audit: (context) => options.audit(context),
          auditOfSidecar: (context, sidecarId) => options.auditOfSidecar(context, sidecarId),
          mayJoinExternally: (agentIds, reach) => ports.mayJoinExternally(agentIds, reach),
        }),
      );
      router.service(LinkService, createLinkService({ attachStreams, publishStreams, bundleReads, caller }));
    },

    async start() {
      subscription = database.listen("openhermit_mesh", onNotice, () => {
        // Nothing was heard while the subscription was down.
        identities.forgetAll();
        heartbeat?.poke();
      });
      heartbeat = createHeartbeat({ database, registry, ports, gatewayId, heartbeatMs, leaseMs, log });
      tasks = [
        task("publish-gateway-key", KEY_RENEWAL_MS, () => keys.publish()),
        task("sweep-expired", SWEEP_MS, () => sweepExpired(database)),
      ];
    },

    async close() {
      await Promise.all([heartbeat?.stop(), snapshots.stop(), ...tasks.map((each) => each.stop())]);
      await Promise.all([attachStreams.close(), ingest.close(FLUSH_GRACE_MS)]);
      publishStreams.close(gatewayStopping());
      subscription?.close();
    },

    verifyAccessToken: (token) => enrollment.verifyAccessToken(token),
    createJoinToken: (sidecarId, agentIds) => enrollment.createJoinToken(sidecarId, agentIds),
    offerTurn: offers.offerTurn,
    cancelTurn: offers.cancelTurn,
    hasLink: offers.hasLink,

    async drainSidecar(sidecarId, graceMs) {
      const here = offers.drain(sidecarId, graceMs);
      if (here !== undefined) {
        await delay(graceMs, undefined, { signal: here, ref: false }).catch(() => {});
        return;
      }
      if (!(await hasLease(database, sidecarId))) return;
      await announceDrain(database, sidecarId, graceMs);
      const deadline = performance.now() + graceMs;
      while (performance.now() < deadline && (await hasLease(database, sidecarId))) {
        await delay(DRAIN_POLL_MS, undefined, { ref: false });
      }
    },

    async revokeSidecars(sidecarIds) {
      await revokeAndFence(database, sidecarIds);
      for (const sidecarId of sidecarIds) identities.forget(sidecarId);
    },

    refreshSnapshots: (agentIds) => snapshots.refresh(agentIds),
  };
}
