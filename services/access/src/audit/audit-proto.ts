import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AuditRecordSchema, type AuditRecord } from "@openhermit/protocol/access/v1/audit_record";
import { SubjectKind, type SubjectSchema } from "@openhermit/protocol/access/v1/subject";
import { encodeCursor } from "./audit-place.ts";
import type { StoredRecord } from "./audit-store.ts";

/** The record as a caller gets it. */
export function toMessage(record: StoredRecord): AuditRecord {
  const behalf: MessageInitShape<typeof SubjectSchema> = { kind: record.behalfKind, id: record.behalfId };
  return create(AuditRecordSchema, {
    id: record.id,
    time: timestampFromDate(record.time),
    actor: { kind: record.actorKind, id: record.actorId },
    ...(record.behalfKind === SubjectKind.UNSPECIFIED ? {} : { onBehalfOf: behalf }),
    accessor: record.accessor,
    action: record.action,
    targetType: record.targetType,
    targetId: record.targetId,
    outcome: record.outcome,
    reason: record.reason,
    changes: record.changes.map(({ path, before, after }) => ({ path, oldValue: before, newValue: after })),
    requestId: record.requestId,
    address: record.address,
    count: record.count,
    cursor: encodeCursor(record.place),
  });
}
