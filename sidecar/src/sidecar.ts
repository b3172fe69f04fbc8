import { createHash, randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

import { create } from "@bufbuild/protobuf";
import { sweep } from "@openhermit/processes";
import { HelloSchema } from "@openhermit/protocol/mesh/v1/link_service";
import type { Log, Telemetry } from "@openhermit/telemetry";

import type { SidecarConfig } from "./config.ts";
import { createHealthReporter } from "./health/health-reporter.ts";
import { sharedHealth } from "./health/shared-health.ts";
import { createAgentHost } from "./host/agent-host.ts";
import { createAccessTokens } from "./identity/access-token.ts";
import { createEnrollment } from "./identity/enrollment.ts";
import { loadSidecarKey } from "./identity/sidecar-key.ts";
import { openLedger } from "./ledger/ledger-store.ts";
import { createGatewayConnection } from "./link/gateway-connection.ts";
import { createLink, type Link } from "./link/link.ts";
import { createBundleReader } from "./link/read-bundle.ts";
import { createOutbox } from "./outbox/outbox.ts";
import { writePidFile } from "./pid-file.ts";
import type { AgentRuntime, AgentRuntimeOptions } from "./runtime/agent-runtime.ts";
import { createLazyBundles } from "./skills/lazy-bundles.ts";
import { SIDECAR_VERSION } from "./version.ts";

/** Why a sidecar ended. */
export type SidecarEnd = { reason: "stopped" } | { reason: "replaced" } | { reason: "refused"; error: Error };

/** A sidecar in this process. */
export interface Sidecar {
  /** Applies what the ledger holds and begins to attach; does not wait for the gateway. */
  start(): void;
  /** Takes no more turns, lets the running ones end for up to `graceMs` (default 10 s), sends what is left, and ends. */
  stop(graceMs?: number): Promise<void>;
  /** Resolves when it has ended, by a stop, by the gateway, or by a newer process of the same sidecar. */
  readonly ended: Promise<SidecarEnd>;
}

/** What a sidecar needs. */
export interface SidecarOptions {
  config: SidecarConfig;
  log: Log;
  telemetry: Telemetry;
  /** Makes an agent's runtime. Default: that of runtime/agent-runtime.ts, loaded with the first agent. */
  createRuntime?: (options: AgentRuntimeOptions) => AgentRuntime | Promise<AgentRuntime>;
}

const STOP_GRACE_MS = 10_000;
// Of the grace this much is kept for sending what is left.
const FLUSH_SHARE = 0.2;
const SESSION_TRANSCRIPT_BYTES = 4 * 1024 * 1024;

/**
 * Takes a home: locks its ledger, reads or makes its key. Errors: SIDECAR_ALREADY_RUNNING, LEDGER_UNAVAILABLE, LEDGER_TOO_NEW,
 * LEDGER_DISK_FULL, SIDECAR_KEY_UNUSABLE.
 */
export function createSidecar(options: SidecarOptions): Sidecar {
  const { config, log, telemetry, createRuntime = loadRuntime } = options;
  mkdirSync(config.home, { recursive: true, mode: 0o700 });
  const { outboxMaxBytes, transcriptMaxBytes: totalBytes } = config;
  // First of all: the lock of the ledger is what says that the home is ours.
  const ledger = openLedger({
    path: join(config.home, "ledger.sqlite"),
    transcripts: { sessionBytes: Math.min(SESSION_TRANSCRIPT_BYTES, totalBytes), totalBytes },
    ...(config.ledgerMaxBytes === undefined ? {} : { maxBytes: config.ledgerMaxBytes }),
  });
  const key = loadSidecarKey(join(config.home, "sidecar-key.pem"));
  const removePidFile = writePidFile(join(config.home, "sidecar.pid"));
  const owner = config.owner ?? markerOf(config.home);
  const instanceId = randomUUID();
  const { promise: ended, resolve: end } = Promise.withResolvers<SidecarEnd>();
  let stopping: Promise<void> | undefined;

  const outbox = createOutbox({ ledger, maxBytes: outboxMaxBytes, log });
  const connection = createGatewayConnection(config.gatewayUrl);
  const enrollment = createEnrollment({ client: connection.enrollment, key, joinTokenFile: config.joinTokenFile, log });
  const tokens = createAccessTokens({ enrollment, log });
  const readBundle = createBundleReader({ connection, tokens });
  const bundles = createLazyBundles({ directory: join(config.home, "skills"), readBundle, log });
  const send: Link["send"] = (message) => link.send(message);
  const host = createAgentHost({
    ledger,
    outbox,
    send,
    log,
    onChanged: () => health.changed(),
    onSkillsNamed: (digests) => bundles.prune(digests),
    onDrain: ({ grace }) =>
      void stop(grace === undefined ? undefined : Number(grace.seconds) * 1000 + grace.nanos / 1e6),
    async createRuntime(agentId) {
      const workspace = join(config.home, "workspaces", agentId);
      mkdirSync(workspace, { recursive: true, mode: 0o700 });
      const onHealthChanged = (): void => health.changed();
      const shared = { log, telemetry, env: config.env, owner, bundles: bundles.get };
      return createRuntime({ agentId, workspace, onHealthChanged, ...shared });
    },
  });
  const health = createHealthReporter({
    send,
    agents: () => host.health(),
    shared: () => sharedHealth(link.status(), ledger, outbox),
  });
  const link = createLink({
    connection,
    tokens,
    outbox,
    log,
    listener: {
      hello: () =>
        create(HelloSchema, {
          instanceId,
          host: hostname(),
          pid: process.pid,
          version: SIDECAR_VERSION,
          ledgerId: ledger.id,
          ...host.hello(),
        }),
      welcomed: (welcome) => host.welcomed(welcome),
      received: (message) => host.received(message),
      statusChanged: ({ attached }) => (attached ? health.attached() : health.changed()),
    },
  });
  outbox.onLevel((level) => {
    log.warn({ level, depth: outbox.depth() }, "outbox level changed");
    health.changed();
  });
  ledger.onProblem(() => {
    const error = ledger.problem();
    if (error === undefined) log.info("ledger can be written again");
    else log.error({ error }, "ledger can't be written");
    health.changed();
  });

  const close = async (result: SidecarEnd): Promise<void> => {
    host.turns.settle();
    await link.stop();
    await host.close();
    ledger.close();
    removePidFile();
    end(result);
  };

  const drain = async (graceMs: number): Promise<void> => {
    log.info({ turns: host.turns.count(), outbox: outbox.depth() }, "sidecar stopping");
    host.turns.close();
    await host.turns.idle(AbortSignal.timeout(graceMs * (1 - FLUSH_SHARE)));
    host.turns.settle();
    if (link.status().attached) await outbox.drained(AbortSignal.timeout(Math.max(500, graceMs * FLUSH_SHARE)));
    await close({ reason: "stopped" });
  };

  function stop(graceMs = STOP_GRACE_MS): Promise<void> {
    stopping ??= drain(graceMs);
    return stopping;
  }

  return {
    start() {
      // Without a supervisor nobody else ends what a killed process of this home has left running.
      if (config.owner === undefined) {
        sweep(owner).catch((error: unknown) => log.warn({ error }, "left processes not ended"));
      }
      host.start();
      link.start();
      void link.ended.then(async (result) => {
        if (stopping !== undefined) return;
        // Whoever replaced this process owns the turns: nothing more is written of them.
        if (result.reason === "replaced") host.turns.disown("all");
        stopping = close(result);
        await stopping;
      });
    },
    stop,
    ended,
  };
}

/** A marker for the children of a home, the same at each start. */
function markerOf(home: string): string {
  return `sidecar-${createHash("sha256").update(home).digest("hex").slice(0, 16)}`;
}

async function loadRuntime(options: AgentRuntimeOptions): Promise<AgentRuntime> {
  const { createAgentRuntime } = await import("./runtime/agent-runtime.ts");
  return createAgentRuntime({ version: SIDECAR_VERSION, ...options });
}
