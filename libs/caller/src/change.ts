import type { Queryable } from "@openhermit/postgres";

/** One field that a change changed, as a person reads it. Never a secret. */
export interface FieldChange {
  /** The path of the field, for example `spec.model`. */
  readonly path: string;
  /** The value before. Empty for a new thing. */
  readonly before: string;
  /** The value after. Empty for a removed thing. */
  readonly after: string;
}

/** One thing that a call changes. */
export interface Change {
  /** `<resource>.<verb>`, for example `agents.update`. */
  readonly action: string;
  /** The kind of the thing, for example `agent`. */
  readonly targetType: string;
  readonly targetId: string;
  readonly fields?: readonly FieldChange[];
}

/** Writes changes into the audit trail, within the transaction that makes them; one statement. Nothing for none. */
export type RecordChanges = (tx: Queryable, changes: readonly Change[]) => Promise<void>;
