import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { invalidArgument } from "@openhermit/errors";
import { AuditOutcome } from "@openhermit/protocol/access/v1/audit_record";
import type { AuditFilter } from "@openhermit/protocol/access/v1/audit_service";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";

/** Which records, in the trail's own words. Undefined, empty and unspecified mean all. */
export interface AuditQuery {
  readonly actorKind: SubjectKind;
  readonly actorId: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly actionPrefix: string;
  readonly outcome: AuditOutcome;
  readonly from: Date | undefined;
  readonly before: Date | undefined;
}

/** Reads a filter. Errors: TIME_RANGE_INVALID when it ends before it starts. */
export function toQuery(filter: AuditFilter | undefined): AuditQuery {
  const from = toDate(filter?.startTime);
  const before = toDate(filter?.endTime);
  if (from !== undefined && before !== undefined && from > before) {
    throw invalidArgument("TIME_RANGE_INVALID", "the time range ends before it starts", {
      hint: "Set start_time to a time before end_time.",
    });
  }
  return {
    actorKind: filter?.actor?.kind ?? SubjectKind.UNSPECIFIED,
    actorId: clean(filter?.actor?.id ?? ""),
    targetType: clean(filter?.targetType ?? ""),
    targetId: clean(filter?.targetId ?? ""),
    actionPrefix: clean(filter?.actionPrefix ?? ""),
    outcome: filter?.outcome ?? AuditOutcome.UNSPECIFIED,
    from,
    before,
  };
}

/** The query of a tail. Errors: TIME_RANGE_INVALID, TAIL_END_TIME. */
export function toTailQuery(filter: AuditFilter | undefined): AuditQuery {
  if (filter?.endTime !== undefined) {
    throw invalidArgument("TAIL_END_TIME", "a tail has no end: filter.end_time is not allowed", {
      hint: "Leave end_time out, or ask QueryAudit.",
    });
  }
  return toQuery(filter);
}

function toDate(time: Timestamp | undefined): Date | undefined {
  return time === undefined ? undefined : timestampDate(time);
}

/** PostgreSQL knows no NUL character in a text, and the trail has none. */
function clean(text: string): string {
  return text.replaceAll("\0", "\uFFFD");
}
