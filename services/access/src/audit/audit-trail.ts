import type { ServiceImpl } from "@connectrpc/connect";
import type { RecordChanges } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import type { AuditService } from "@openhermit/protocol/access/v1/audit_service";
import type { Log } from "@openhermit/telemetry";
import type { Denial } from "../access-ports.ts";
import type { Actor } from "../principal.ts";

/** What an audit trail is made of. */
export interface AuditTrailOptions {
  database: Database;
  log: Log;
  /** How long records are kept, days, at least 31. Whole months are dropped. */
  retentionDays: number;
}

/** Who did what. Records are added, and dropped by the month when they are old; nothing changes them. */
export interface AuditTrail {
  /** Writes the changes of an actor in the transaction that makes them: both are stored, or neither. */
  recordChanges(actor: Actor): RecordChanges;
  /** Stores a denied attempt within a second; alike ones within a minute become one more record. Never throws. */
  recordDenial(denial: Denial): void;
  /** Reading the trail. */
  readonly rpcs: ServiceImpl<typeof AuditService>;
  /** Makes sure that there is room for this month and the next two, and begins to keep the trail. */
  start(): Promise<void>;
  /** Ends tails, and writes what still waits. */
  close(): Promise<void>;
}
