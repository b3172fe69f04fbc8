import type { RecordChanges } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import type { Log } from "@openhermit/telemetry";
import type { CallOf } from "./access-call.ts";
import type { Actor } from "./principal.ts";
import type { Facts } from "./rights/decide.ts";

/** What the RPCs of teams, service accounts and grants work on. */
export interface AccessRpcOptions {
  database: Database;
  log: Log;
  facts: Facts;
  call: CallOf;
  recordChanges: (actor: Actor) => RecordChanges;
  /** Reads the directory, so that what was changed here is known here at once. Never rejects: the change is stored. */
  changed: () => Promise<void>;
}

/** The ids of members, service accounts, teams and agents, in a page token. */
export const SLUG = /^[a-z][a-z0-9-]{0,62}$/;
