import type { Change, FieldChange } from "@openhermit/caller";
import { newUuidV7 } from "@openhermit/ids";
import { AuditOutcome } from "@openhermit/protocol/access/v1/audit_record";
import type { Denial } from "../access-ports.ts";
import type { Actor } from "../principal.ts";
import { harmlessLine, harmlessText } from "./harmless-text.ts";

/** The most characters of a value that are kept. */
export const MAX_VALUE = 1024;
/** The most characters of a name: an id, an action, an address. */
const MAX_NAME = 255;
/** The most fields of a record; what is beyond is counted in one more. */
const MAX_FIELDS = 64;

/** A record to be stored. */
export interface NewRecord {
  readonly id: string;
  /** When it happened; undefined: now, on the clock of the database. */
  readonly time: Date | undefined;
  readonly actor: Actor;
  readonly action: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly outcome: AuditOutcome;
  readonly reason: string;
  readonly fields: readonly FieldChange[];
  readonly count: number;
}

/** What an actor has done. */
export function changeRecord(actor: Actor, change: Change): NewRecord {
  return {
    id: newUuidV7(),
    time: undefined,
    actor: harmlessActor(actor),
    action: name(change.action),
    targetType: name(change.targetType),
    targetId: name(change.targetId),
    outcome: AuditOutcome.DONE,
    reason: "",
    fields: harmlessFields((change.fields ?? []).filter(({ before, after }) => before !== after)),
    count: 1,
  };
}

/** What was denied, `count` times since `time`. */
export function denialRecord(denial: Denial, time: Date, count: number): NewRecord {
  return { ...denial, id: newUuidV7(), time, outcome: AuditOutcome.DENIED, fields: [], count };
}

/** The denial with nothing in it that could do harm, or is long: what a caller sends may be anything. */
export function harmlessDenial({ actor, action, targetType, targetId, reason }: Denial): Denial {
  return {
    actor: harmlessActor(actor),
    action: name(action),
    targetType: name(targetType),
    targetId: name(targetId),
    reason: name(reason),
  };
}

function harmlessActor({ subject, onBehalfOf, accessor, requestId, address }: Actor): Actor {
  return {
    subject: { kind: subject.kind, id: name(subject.id) },
    onBehalfOf: onBehalfOf === undefined ? undefined : { kind: onBehalfOf.kind, id: name(onBehalfOf.id) },
    accessor: name(accessor),
    requestId: name(requestId),
    address: name(address),
  };
}

function harmlessFields(fields: readonly FieldChange[]): FieldChange[] {
  const kept = fields.slice(0, MAX_FIELDS).map(({ path, before, after }) => ({
    path: name(path),
    before: harmlessText(before, MAX_VALUE),
    after: harmlessText(after, MAX_VALUE),
  }));
  const more = fields.length - kept.length;
  return more === 0 ? kept : [...kept, { path: "…", before: "", after: `${more} more` }];
}

function name(text: string): string {
  return harmlessLine(text, MAX_NAME);
}
