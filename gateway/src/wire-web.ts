import { LoginService } from "@openhermit/protocol/access/v1/login_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import type { Log } from "@openhermit/telemetry";

import type { AttemptLimits } from "./access/attempt-limits.ts";
import { callerKey, principalKey } from "./access/caller.ts";
import type { CredentialVerifier } from "./access/credential-verifier.ts";
import { isSameOrigin } from "./access/same-origin.ts";
import type { GatewayConfig } from "./config.ts";
import type { RequestHandler } from "./listener/listener.ts";
import { localClient } from "./local-client.ts";
import { VERSION } from "./version.ts";
import { createWeb } from "./web/web.ts";
import type { Services } from "./wire.ts";

/** Agents on one page of the status page. */
const PAGE_SIZE = 200;

/** Makes the pages and the plain HTTP endpoints out of the services. They read through the same contracts as everybody else. */
export function wireWeb(options: {
  services: Services;
  verifier: CredentialVerifier;
  limits: AttemptLimits;
  ownOrigins: () => readonly string[];
  secure: boolean;
  url: () => string;
  metrics: () => Promise<string>;
  oidc: GatewayConfig["oidc"];
  log: Log;
}): Promise<RequestHandler> {
  const { services, verifier, limits, ownOrigins, secure, url, metrics, oidc, log } = options;
  return createWeb({
    version: VERSION,
    log,
    secure,
    url,
    access: services.access,
    async authenticate(request) {
      const credentials = await verifier.verify(request);
      return credentials.kind === "principal" ? credentials.principal : undefined;
    },
    async identity(principal) {
      const client = localClient(LoginService, services.access.routes, (values) => values.set(principalKey, principal));
      const { identity } = await client.getIdentity({});
      return { subject: identity?.subject, displayName: identity?.displayName ?? "", role: identity?.role ?? 0 };
    },
    isSameOrigin: (headers) => isSameOrigin(headers, ownOrigins),
    attemptLimits: limits,
    health: (agents) => services.health.summary(agents),
    agents(agents, pageToken) {
      const caller = { kind: "principal", name: "page", agents, mayOwnFor: () => false } as const;
      const client = localClient(FleetService, services.fleet.routes, (values) => values.set(callerKey, caller));
      return client.listAgents({ pageSize: PAGE_SIZE, pageToken });
    },
    metrics,
    oidc,
  });
}
