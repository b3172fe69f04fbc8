/**
 * One cheap unary method behind the product's own listener and interceptors, at two ports of one process. Behind the gate and
 * the rights: a real access domain over a real database, a service account, and a token with one scope for one agent. And
 * bare, where nobody is asked. Prints the `PORT n` of the first; there GET /token answers with the token, GET /bare with the
 * other port, GET /cpu with the CPU time of the process in µs, GET /verify?n=N with the ns that one of N checks of the token takes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createContextValues, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ServiceAccountService } from "@openhermit/protocol/access/v1/service_account_service";
import { Role } from "@openhermit/protocol/access/v1/subject";
import { TokenService } from "@openhermit/protocol/access/v1/token_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { createLog, createTelemetry } from "@openhermit/telemetry";
import { createDatabase, migrate, startEmbeddedPostgres } from "../../../libs/postgres/src/index.ts";
import { newUuidV7 } from "../../../libs/ids/src/index.ts";
import { accessMigrations, createAccessService } from "../../../services/access/src/index.ts";
import { createAccessPolicy } from "../../../gateway/src/access/access-policy.ts";
import { createAttemptLimits } from "../../../gateway/src/access/attempt-limits.ts";
import { actorOf, principalKey, principalOf } from "../../../gateway/src/access/caller.ts";
import { createCredentialVerifier } from "../../../gateway/src/access/credential-verifier.ts";
import { listen, type RequestHandler } from "../../../gateway/src/listener/listener.ts";
import { localClient } from "../../../gateway/src/local-client.ts";
import { BODY_TIMEOUT_MS, withBodyTimeout } from "../../../gateway/src/rpc/body-timeout.ts";
import { peerKey, requestIdKey } from "../../../gateway/src/rpc/call-context.ts";
import { keepDeadlines, MAX_DEADLINE_MS } from "../../../gateway/src/rpc/interceptors/deadline.ts";
import { mapErrors } from "../../../gateway/src/rpc/interceptors/errors.ts";
import { logCalls } from "../../../gateway/src/rpc/interceptors/log.ts";
import { traceCalls } from "../../../gateway/src/rpc/interceptors/trace.ts";
import { validate } from "../../../gateway/src/rpc/interceptors/validate.ts";
import { createRpcMetrics } from "../../../gateway/src/rpc/rpc-metrics.ts";
import { createRpcHandler, MAX_MESSAGE_BYTES } from "../../../gateway/src/rpc/rpc.ts";

const AGENT = "one";
const log = createLog({ service: "bench", level: "error" });
const telemetry = await createTelemetry({ service: "bench", version: "1", env: {} });

function routes(router: ConnectRouter): void {
  router.service(FleetService, { getAgent: ({ agentId }) => ({ agent: { id: agentId } }) });
}

/** The same way without anybody who asks who calls, and whether they may. */
function bareHandler(): RequestHandler {
  const metrics = createRpcMetrics(telemetry.meter);
  const interceptors: Interceptor[] = [
    traceCalls(telemetry),
    logCalls(log, metrics),
    mapErrors(log, () => {}),
    keepDeadlines(),
    validate(),
  ];
  let made: ConnectRouter | undefined;
  const serve = connectNodeAdapter({
    routes(router) {
      routes(router);
      made = router;
    },
    interceptors,
    requestGate: async (context) => {
      const requestId = newUuidV7();
      context.values.set(requestIdKey, requestId);
      context.responseHeader.set("x-request-id", requestId);
    },
    contextValues: (request) => createContextValues().set(peerKey, request.socket?.remoteAddress ?? ""),
    jsonOptions: { ignoreUnknownFields: false },
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    maxTimeoutMs: MAX_DEADLINE_MS,
  }) as RequestHandler;
  if (made === undefined) throw new Error("no routes");
  return withBodyTimeout(made, serve, BODY_TIMEOUT_MS);
}

async function guardedHandler(): Promise<RequestHandler> {
  const directory = mkdtempSync(join(tmpdir(), "openhermit-bench-"));
  const server = await startEmbeddedPostgres({ directory: join(directory, "postgres"), log });
  process.once("SIGTERM", () => {
    void server.stop().finally(() => {
      rmSync(directory, { recursive: true, force: true });
      process.exit(0);
    });
  });
  const database = createDatabase({ url: server.url, log, applicationName: "bench" });
  await migrate(database, [accessMigrations], log);
  const access = createAccessService({
    database,
    log,
    ports: {
      teamOfAgent: (agentId) => (agentId === AGENT ? "" : undefined),
      agentIds: () => [AGENT],
      existingAgentIds: () => [AGENT],
      gatewayUrl: () => "http://127.0.0.1",
    },
    principal: principalOf,
    actor: actorOf,
    methods: () => rpc.scoped,
    tokenPepper: "",
    auditRetentionDays: 400,
  });
  const limits = createAttemptLimits();
  const rpc = createRpcHandler({
    routes,
    verifier: createCredentialVerifier({
      operatorToken: { matches: () => false },
      localOperator: access.localOperator,
      verifyToken: access.verifyToken,
      verifySession: access.verifySession,
      readSession: () => undefined,
      verifyAccessToken: async () => undefined,
      ownOrigins: () => [],
      limits,
    }),
    policy: createAccessPolicy({ access, fleet: { teamOfAgent: () => "" } }),
    limits,
    admit: () => undefined,
    telemetry,
    log,
    fallback(request, response) {
      const { pathname, searchParams } = new URL(request.url ?? "", "http://x");
      const answers: Record<string, () => Promise<unknown>> = {
        "/token": async () => token,
        "/bare": async () => bare.port,
        "/cpu": async () => Object.values(process.cpuUsage()).reduce((sum, µs) => sum + µs),
        "/verify": () => verifyMany(Number(searchParams.get("n"))),
      };
      void answers[pathname]?.().then((text) => (response as ServerResponse).end(String(text)));
    },
  });
  await access.start();
  const identify = (values: Parameters<Parameters<typeof localClient>[2]>[0]) =>
    values.set(principalKey, access.localOperator);
  await localClient(ServiceAccountService, access.routes, identify).createServiceAccount({
    serviceAccount: { id: "ci", role: Role.OPERATOR },
  });
  const { secret: token } = await localClient(TokenService, access.routes, identify).createToken({
    serviceAccountId: "ci",
    scopes: [`agents:${AGENT}:read`],
  });

  async function verifyMany(count: number): Promise<number> {
    const begin = process.hrtime.bigint();
    for (let index = 0; index < count; index += 1) {
      if ((await access.verifyToken(token, "127.0.0.1")) === undefined) throw new Error("the token is not valid");
    }
    return Number((process.hrtime.bigint() - begin) / BigInt(count));
  }
  return rpc.handle;
}

const bare = await listen({ host: "127.0.0.1", port: 0, log, handler: bareHandler() });
const guarded = await listen({ host: "127.0.0.1", port: 0, log, handler: await guardedHandler() });
console.log(`PORT ${guarded.port}`);
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
