import type { Database } from "@openhermit/postgres";
import type { Log } from "@openhermit/telemetry";
import { loseLinksOfGoneGateways } from "../agent-status-store.ts";
import type { ProcessLauncher } from "../launcher/process-launcher.ts";
import type { Observations } from "../observations.ts";
import {
  claimSidecars,
  forgetSilentGateways,
  readPlacements,
  releaseClaim,
  renewLease,
  type GatewayIdentity,
  type Placement,
} from "../sidecar-claim-store.ts";
import { sweepMarker } from "./sweep-marker.ts";

/** What the reconciler works on. */
export interface ReconcileSidecarsOptions {
  database: Database;
  log: Log;
  gateway: GatewayIdentity;
  leaseMs: number;
  observations: Observations;
  /** Undefined when this gateway starts no sidecars. */
  launcher: ProcessLauncher | undefined;
  /** Of a provider that is not stored. */
  apiKeyEnvOf(provider: string): string;
  /** Fences sidecars whose gateway is gone. */
  revokeSidecars(sidecarIds: readonly string[]): Promise<void>;
}

/** One step towards the fleet as it should be. */
export interface SidecarReconciler {
  /** Idempotent; throws when the database is away, and then changes nothing. */
  run(): Promise<void>;
  /** A sidecar that should not run is gone: its claim may be given up. */
  gone(agentId: string): void;
  /** Whether this gateway is known to the others, so that what it observes is believed. */
  readonly isRegistered: boolean;
}

/**
 * Holds what should run against what runs: renews this gateway's lease, takes agents that nobody runs, starts and ends
 * their sidecars, and corrects what gateways that are gone have left in the database.
 *
 * Another gateway is judged gone only when its lease has run out *and* this one could reach the database all that
 * time: after an outage every lease has run out, and nobody is dead.
 */
export function createSidecarReconciler(options: ReconcileSidecarsOptions): SidecarReconciler {
  const { database, log, gateway, leaseMs, observations, launcher } = options;
  const goneAgents = new Set<string>();
  let contactSince: number | undefined;
  let lastRenewal: number | undefined;
  let superseded = false;
  let lastCleaning: number | undefined;

  async function renew(): Promise<boolean> {
    if (!(await renewLease(database, gateway, leaseMs))) {
      if (!superseded) log.warn({ gateway_id: gateway.id }, "a newer gateway of this home has taken over");
      superseded = true;
      launcher?.letGoAll();
      return false;
    }
    const now = performance.now();
    // The others may have judged this gateway gone, and written so.
    if (lastRenewal === undefined || now - lastRenewal > leaseMs / 2) observations.touchAll();
    lastRenewal = now;
    contactSince ??= now;
    return true;
  }

  async function correctLinks(othersMayBeGone: boolean): Promise<void> {
    const lost = await loseLinksOfGoneGateways(database, gateway.id, { othersMayBeGone });
    if (lost.length > 0)
      log.info({ agent_ids: lost.slice(0, 20), count: lost.length }, "links of gone gateways marked lost");
    const now = performance.now();
    if (lastCleaning !== undefined && now - lastCleaning < 3_600_000) return;
    lastCleaning = now;
    await forgetSilentGateways(database);
  }

  async function revoke(agentId: string): Promise<boolean> {
    try {
      await options.revokeSidecars([agentId]);
      return true;
    } catch (error) {
      log.warn({ agent_id: agentId, err: error }, "sidecar not revoked");
      return false;
    }
  }

  async function takeOver(runner: ProcessLauncher, open: readonly Placement[]): Promise<Set<string>> {
    if (open.length === 0) return new Set();
    const markers = new Map(open.map(({ agentId }) => [agentId, runner.markerOf(agentId)]));
    const taken = new Set(await claimSidecars(database, gateway.id, markers));
    await Promise.all(
      open.map(async ({ agentId, claim }) => {
        if (claim === undefined || !taken.has(agentId)) return;
        log.warn({ agent_id: agentId, gateway_id: claim.gatewayId }, "sidecar taken over from a gateway that is gone");
        // On this host the old processes end now; on another one they are fenced, and lose the link when they come back.
        await revoke(agentId);
        await sweepMarker(claim.marker, log);
      }),
    );
    return taken;
  }

  async function reconcile(runner: ProcessLauncher, othersMayBeGone: boolean): Promise<void> {
    const placements = await readPlacements(database);
    const open = placements.filter(({ wanted, claim }) => {
      if (claim === undefined) return wanted !== undefined;
      return claim.gatewayId !== gateway.id && claim.expired && othersMayBeGone;
    });
    const taken = await takeOver(runner, open);
    const mine = placements.filter(({ agentId, claim }) => taken.has(agentId) || claim?.gatewayId === gateway.id);
    for (const { agentId, wanted, exists } of mine) {
      if (wanted !== undefined) {
        goneAgents.delete(agentId);
        const apiKeyEnv = wanted.apiKeyEnv ?? options.apiKeyEnvOf(wanted.provider);
        runner.run(agentId, { apiKeyEnv, restartNumber: wanted.restartNumber });
      } else if (goneAgents.has(agentId)) {
        // The sidecar of a deleted agent must not come back with the key it had. Until that is sure the claim stays.
        if (!exists && !(await revoke(agentId))) continue;
        goneAgents.delete(agentId);
        await releaseClaim(database, gateway.id, agentId);
        if (!exists) observations.forget(agentId);
      } else {
        runner.end(agentId);
      }
    }
    // What runs here and is no longer ours was taken over while this gateway was cut off, or released.
    const ours = new Set(mine.map(({ agentId }) => agentId));
    for (const agentId of runner.agentIds()) if (!ours.has(agentId)) runner.end(agentId);
  }

  return {
    async run() {
      try {
        if (!(await renew())) return;
        const othersMayBeGone = contactSince !== undefined && performance.now() - contactSince >= leaseMs;
        await correctLinks(othersMayBeGone);
        if (launcher !== undefined) await reconcile(launcher, othersMayBeGone);
      } catch (error) {
        contactSince = undefined;
        throw error;
      }
    },
    gone: (agentId) => void goneAgents.add(agentId),
    get isRegistered() {
      return lastRenewal !== undefined && !superseded;
    },
  };
}
