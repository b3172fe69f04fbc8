import { fileURLToPath } from "node:url";

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ScopedMethod } from "@openhermit/access-service";
import { toError, unavailable, type MeshError } from "@openhermit/errors";
import { newUuidV7 } from "@openhermit/ids";
import { createDatabase, startEmbeddedPostgres, type EmbeddedPostgres } from "@openhermit/postgres";
import { HealthService } from "@openhermit/protocol/health/v1/health_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { createTelemetry, type Log } from "@openhermit/telemetry";

import { createAccessPolicy } from "./access/access-policy.ts";
import { createAttemptLimits } from "./access/attempt-limits.ts";
import { createCredentialVerifier } from "./access/credential-verifier.ts";
import { originsOf } from "./access/same-origin.ts";
import { bringUp, elapsed, type BringUp } from "./bring-up.ts";
import type { GatewayConfig } from "./config.ts";
import { removeGatewayFile, writeGatewayFile } from "./home/gateway-file.ts";
import { openHome } from "./home/open-home.ts";
import { openOperatorToken } from "./home/operator-token.ts";
import { listen, type Listener } from "./listener/listener.ts";
import { listenMetrics } from "./listener/metrics-listener.ts";
import type { OnProgress } from "./progress.ts";
import { registerGrpcHealth } from "./rpc/grpc-health.ts";
import { registerReflection } from "./rpc/reflection.ts";
import { createRpcHandler } from "./rpc/rpc.ts";
import { VERSION } from "./version.ts";
import { createWaysIn } from "./ways-in.ts";
import { readSessionCookie } from "./web/session-cookie.ts";
import { healthWord } from "./web/web.ts";
import { migrations, wireServices, type Services } from "./wire.ts";
import { wireWeb } from "./wire-web.ts";

/** A running gateway. */
export interface Gateway {
  /** Where others reach it. */
  readonly url: string;
  /** Resolves when the database is migrated and all services run; rejects when that can't become true by waiting. */
  readonly ready: Promise<void>;
  /** The parts that tests across packages use. */
  readonly mesh: Services["mesh"];
  /** Takes no more turns, lets running ones finish for at most graceMs, ends sidecars, streams and the embedded database. Idempotent. */
  stop(graceMs?: number): Promise<void>;
}

const SIDECAR = fileURLToPath(new URL("../../sidecar/src/main.ts", import.meta.url));

/**
 * Starts a gateway: resolves when it listens, also while the database is away. Throws a MeshError with a sentence for
 * a person when the home, the port or the embedded database can't be had; nothing is left behind then.
 */
export async function startGateway(
  config: GatewayConfig,
  log: Log,
  onProgress: OnProgress = () => {},
): Promise<Gateway> {
  const begun = performance.now();
  const undo: (() => Promise<unknown>)[] = [];
  const cleanUp = async () => {
    for (const step of undo.toReversed()) {
      await step().catch((error: unknown) => log.warn({ err: error }, "a part did not end cleanly"));
    }
  };
  try {
    return await assemble();
  } catch (error) {
    await cleanUp();
    throw error;
  }

  async function assemble(): Promise<Gateway> {
    await openHome(config.home);
    const operatorToken = await openOperatorToken(config.home);
    onProgress({ step: "home", ms: elapsed(begun) });
    const telemetry = await createTelemetry({
      service: "openhermit-gateway",
      version: VERSION,
      env: config.environment,
      prometheus: true,
    });
    undo.push(() => telemetry.shutdown());

    const databaseStarted = performance.now();
    const urls = await databaseUrls();
    const database = createDatabase({ url: urls.services, log, applicationName: "openhermit-gateway" });
    undo.push(() => database.end());
    onProgress({ step: "database", ms: elapsed(databaseStarted) });

    const listening = performance.now();
    // What comes later and is asked for by what comes earlier.
    const late: { listener?: Listener; progress?: BringUp; methods?: readonly ScopedMethod[] } = {};
    const url = () => config.publicUrl?.replace(/\/+$/, "") ?? late.listener?.url ?? "";
    let stopping: Promise<void> | undefined;
    const services = wireServices({
      database,
      log,
      telemetry,
      gatewayId: newUuidV7(),
      gatewayUrl: url,
      databaseStatus: () => late.progress?.status() ?? database.status(),
      launcher: {
        home: config.home,
        command: [process.execPath, SIDECAR],
        environment: config.environment,
        mcpSecrets: config.mcpSecrets,
        ...(config.lifelineFd === undefined ? {} : { lifelineFd: config.lifelineFd }),
      },
      access: {
        methods: () => late.methods ?? [],
        tokenPepper: config.tokenPepper,
        auditRetentionDays: config.auditRetentionDays,
      },
    });
    let closing: Promise<void> | undefined;
    const closeServices = () => (closing ??= services.close());
    undo.push(closeServices);

    const limits = createAttemptLimits();
    const secure = config.tls !== undefined || config.publicUrl?.startsWith("https:") === true;
    const ownOrigins = () => originsOf([url(), late.listener?.url ?? url()]);
    const verifier = createCredentialVerifier({
      operatorToken,
      localOperator: services.access.localOperator,
      verifyToken: (token, address) => services.access.verifyToken(token, address),
      verifySession: (secret) => services.access.verifySession(secret),
      readSession: (cookies) => readSessionCookie(cookies, secure),
      verifyAccessToken: (token) => services.mesh.verifyAccessToken(token),
      ownOrigins,
      limits,
    });
    const shutdown = new AbortController();
    const metrics = async () => (await telemetry.prometheusText?.()) ?? "";
    const { oidc } = config;
    const web = await wireWeb({ services, verifier, limits, ownOrigins, secure, url, metrics, oidc, log });
    const rpc = createRpcHandler({
      routes(router) {
        services.routes(router);
        registerGrpcHealth(router, async () => healthWord((await services.health.summary()).state));
        registerReflection(router);
      },
      verifier,
      policy: createAccessPolicy(services),
      limits,
      admit: (method) => refusal(method, late.progress, stopping !== undefined),
      telemetry,
      log,
      fallback: web,
      shutdownSignal: shutdown.signal,
    });
    late.methods = rpc.scoped;
    if (config.metricsListen !== undefined) {
      const { metricsListen, insecure } = config;
      const scraped = await listenMetrics({ listen: metricsListen, insecure, metrics, log });
      undo.push(() => scraped.close(1_000));
    }
    const listener = await listen({
      ...config.listen,
      tls: config.tls,
      insecure: config.insecure,
      handler: rpc.handle,
      log,
    });
    late.listener = listener;
    undo.push(() => listener.close(1_000));
    await writeGatewayFile(config.home, { url: url(), pid: process.pid, version: VERSION });
    undo.push(() => removeGatewayFile(config.home, process.pid));
    log.info({ url: url(), home: config.home, version: VERSION }, "gateway listening");
    onProgress({ step: "listening", ms: elapsed(listening), url: url() });

    const progress = bringUp({
      database,
      openAdmin: openAdmin(urls.migrations),
      migrations,
      log,
      start: () => services.start(),
      onProgress,
    });
    late.progress = progress;
    const ready = progress.done.then(async () => {
      const waysIn = await createWaysIn(services.access.logins, url(), log);
      log.info({ ms: elapsed(begun) }, "gateway ready");
      onProgress({ step: "ready", ms: elapsed(begun), ...waysIn });
    });
    // Whoever started the gateway decides what to do about it; here it must not count as unhandled.
    ready.catch((error: unknown) => log.error({ err: toError(error) }, "gateway can't become ready"));

    return {
      url: url(),
      ready,
      mesh: services.mesh,
      stop(graceMs = config.drainMs) {
        stopping ??= (async () => {
          log.info({ grace_ms: graceMs }, "gateway stopping");
          progress.stop();
          await services.fleet
            .stopAll(graceMs)
            .catch((error: unknown) => log.warn({ err: error }, "sidecars did not end cleanly"));
          shutdown.abort(new ConnectError("the gateway is stopping", Code.Unavailable));
          await closeServices().catch((error: unknown) => log.warn({ err: error }, "services did not end cleanly"));
          await cleanUp();
          log.info("gateway stopped");
        })();
        return stopping;
      },
    };
  }

  /** The embedded server has both roles; of another one the operator names them. */
  async function databaseUrls(): Promise<{ services: string; migrations: string | undefined }> {
    if (config.databaseUrl !== undefined) {
      return { services: config.databaseUrl, migrations: config.adminDatabaseUrl };
    }
    const server: EmbeddedPostgres = await startEmbeddedPostgres({
      directory: `${config.home}/postgres`,
      log,
      onProgress: (message) => onProgress({ step: "note", message }),
    });
    undo.push(() => server.stop());
    return { services: server.serviceUrl, migrations: server.url };
  }

  function openAdmin(url: string | undefined) {
    return url === undefined
      ? undefined
      : () => createDatabase({ url, log, applicationName: "openhermit-gateway migrations", maxConnections: 1 });
  }
}

function refusal(method: DescMethod, progress: BringUp | undefined, stopping: boolean): MeshError | undefined {
  if (method.parent === HealthService || method.parent.typeName.startsWith("grpc.")) {
    return undefined;
  }
  if (stopping && method === SessionService.method.sendMessage) {
    return unavailable("GATEWAY_STOPPING", "the gateway is stopping and takes no more messages", {
      hint: "send the message again when it runs again",
    });
  }
  // Once they run, the services know best what they can do while the database is away.
  if (progress?.isUp() !== true) {
    const detail = progress?.status().detail ?? "connecting";
    return unavailable("GATEWAY_NOT_READY", `the gateway can't use its database: ${detail}`, {
      hint: "repeat the call in a moment; `hermit health` says more",
    });
  }
  return undefined;
}
