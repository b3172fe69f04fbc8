import type { Database, Queryable } from "@openhermit/postgres";
import type { Log } from "@openhermit/telemetry";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { Directory } from "../directory/directory.ts";
import type { Principal } from "../principal.ts";
import type { PasswordHasher } from "./password-hasher.ts";

/** What logins are made of. */
export interface LoginOptions {
  database: Database;
  log: Log;
  audit: Pick<AuditTrail, "recordChanges" | "recordDenial">;
  directory: Directory;
  /** Makes a token that is not narrowed, for whoever's session this is, in a transaction that holds the lock of access. */
  issueLoginToken(
    tx: Queryable,
    principal: Principal,
    deviceName: string,
  ): Promise<{ token: string; accessor: string; expireTime: Date }>;
  /** After a commit that revoked tokens: this gateway takes them no more; the others hear the notices. */
  onRevoked(accessors: readonly string[]): void;
  /** The gateway's own URL, for links; without a slash at its end. */
  gatewayUrl(): string;
  /** Default: argon2id. */
  hasher?: PasswordHasher;
  /** The time. Default: the clock. */
  now?: () => Date;
}
