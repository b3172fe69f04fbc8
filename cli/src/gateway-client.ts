import { createClient, type Client, type Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { HealthService } from "@openhermit/protocol/health/v1/health_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { EnrollmentService } from "@openhermit/protocol/mesh/v1/enrollment_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import type { CredentialSource } from "./find-gateway.ts";

/** The clients of one gateway, over one HTTP/2 connection. */
export interface Gateway {
  readonly url: string;
  /** Where its token was taken from; undefined: it calls without one. */
  readonly source: CredentialSource | undefined;
  /** For the clients that few commands need. */
  readonly transport: Transport;
  readonly activity: Client<typeof ActivityService>;
  readonly catalog: Client<typeof CatalogService>;
  readonly enrollment: Client<typeof EnrollmentService>;
  readonly fleet: Client<typeof FleetService>;
  readonly health: Client<typeof HealthService>;
  readonly manifest: Client<typeof ManifestService>;
  readonly sessions: Client<typeof SessionService>;
  readonly skills: Client<typeof SkillService>;
  /** Ends the connection; streams that still run fail. */
  close(): void;
}

/** For calls that stream: no deadline, since a turn or a tail may last. */
export const NO_DEADLINE = { timeoutMs: 0 } as const;

/** How long a unary call may take. */
const CALL_TIMEOUT_MS = 30_000;
/** The files of a skill and the export of a large fleet are the largest messages. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** Makes the clients. Connects with the first call. */
export function createGateway(options: {
  url: string;
  token: string | undefined;
  source?: CredentialSource | undefined;
}): Gateway {
  const { url, token, source } = options;
  // The pings find a connection that is dead without a word, in the middle of a stream.
  const sessionManager = new Http2SessionManager(url, { pingIntervalMs: 15_000, pingTimeoutMs: 10_000 });
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "2",
    sessionManager,
    defaultTimeoutMs: CALL_TIMEOUT_MS,
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return {
    url,
    source,
    transport,
    activity: createClient(ActivityService, transport),
    catalog: createClient(CatalogService, transport),
    enrollment: createClient(EnrollmentService, transport),
    fleet: createClient(FleetService, transport),
    health: createClient(HealthService, transport),
    manifest: createClient(ManifestService, transport),
    sessions: createClient(SessionService, transport),
    skills: createClient(SkillService, transport),
    close: () => sessionManager.abort(),
  };
}
