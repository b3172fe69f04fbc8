import type { AccessService, Principal } from "@openhermit/access-service";
import type { Reach } from "@openhermit/caller";
import type { Identity } from "@openhermit/protocol/access/v1/login_service";
import type { Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { FleetHealth } from "@openhermit/protocol/health/v1/health";
import type { Log } from "@openhermit/telemetry";

import type { AttemptLimits } from "../access/attempt-limits.ts";
import type { CredentialRequest } from "../access/credential-verifier.ts";
import type { OidcConfig } from "../config.ts";

/** What the pages and the plain HTTP endpoints are made of. */
export interface WebOptions {
  version: string;
  log: Log;
  /** Whether browsers reach the gateway over TLS: its cookies are bound to TLS then. */
  secure: boolean;
  /** The gateway's own URL, without a slash at its end. */
  url(): string;
  access: Pick<AccessService, "logins" | "verifySession" | "decide" | "recordDenial">;
  /**
   * Who sends a request, by its `authorization` header or its cookie; undefined without a credential, and for a sidecar.
   * Errors: CREDENTIAL_INVALID, ORIGIN_REFUSED, ATTEMPTS_LIMITED, ACCESS_UNAVAILABLE. For /health, /metrics and unknown paths.
   */
  authenticate(request: CredentialRequest): Promise<Principal | undefined>;
  /** Who a principal is, for people to read. */
  identity(principal: Principal): Promise<Pick<Identity, "subject" | "displayName" | "role">>;
  /** Whether a form was sent by a page of this gateway, by its `origin` and `sec-fetch-site` headers. */
  isSameOrigin(headers: Headers): boolean;
  /** Failed attempts, by address. */
  attemptLimits: Pick<AttemptLimits, "admit" | "attempt" | "failed">;
  /** How the fleet is, or the part of it in reach; answers always. */
  health(agents?: Reach): Promise<FleetHealth>;
  /** One page of the agents in reach. */
  agents(agents: Reach, pageToken: string): Promise<{ agents: Agent[]; nextPageToken: string }>;
  /** All metrics as text. */
  metrics(): Promise<string>;
  /** A provider of identities; undefined: people log in with passwords only. */
  oidc: OidcConfig | undefined;
  now?: () => Date;
}
