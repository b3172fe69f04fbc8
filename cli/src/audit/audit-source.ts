import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AuditRecord } from "@openhermit/protocol/access/v1/audit_record";
import type { AuditFilterSchema } from "@openhermit/protocol/access/v1/audit_service";
import type { AccessClients } from "../access/access-clients.ts";
import { PAGE_SIZE } from "../all-pages.ts";
import { NO_DEADLINE } from "../gateway-client.ts";
import { mayHeal } from "../logs/event-source.ts";

type Audit = AccessClients["audit"];
type Filter = MessageInitShape<typeof AuditFilterSchema>;

const RETRY_MS = 500;

/** The newest records that the filter lets through, oldest first, at most `count`. */
export async function readAudit(
  audit: Audit,
  filter: Filter,
  count: number,
  signal?: AbortSignal,
): Promise<AuditRecord[]> {
  const records: AuditRecord[] = [];
  let pageToken = "";
  // A page size of 0 would mean the gateway's own.
  if (count === 0) return records;
  do {
    const pageSize = Math.min(PAGE_SIZE, count - records.length);
    const page = await audit.queryAudit({ filter, pageSize, pageToken }, signal ? { signal } : {});
    records.push(...page.records);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && records.length < count);
  return records.toReversed();
}

/**
 * Records as they are stored, without a gap and without a double, beginning with the newest `last`. A connection that
 * breaks is taken up again after the last record received. Ends only with the signal, or throws what can't heal.
 */
export async function* tailAudit(
  audit: Audit,
  options: { filter: Filter; last: number; signal: AbortSignal; onBreak(): void; onResume(): void },
): AsyncGenerator<AuditRecord> {
  const { filter, last, signal, onBreak, onResume } = options;
  // What was looked up after the tail had opened comes by the tail once more.
  const lookedUp = new Set<string>();
  let cursor = "";
  let everOpen = false;
  let broken = false;
  while (!signal.aborted) {
    try {
      let opening = cursor === "";
      for await (const { records } of audit.tailAudit({ filter, cursor }, { ...NO_DEADLINE, signal })) {
        if (broken) onResume();
        broken = false;
        if (opening) {
          opening = false;
          // A tail that was open and has no place to begin after never had a record: all there are now are new.
          const count = everOpen ? PAGE_SIZE : Math.max(last, 1);
          for (const record of await readAudit(audit, filter, count, signal)) {
            lookedUp.add(record.id);
            cursor = record.cursor;
            if (everOpen || last > 0) yield record;
          }
        }
        everOpen = true;
        for (const record of records) {
          cursor = record.cursor;
          if (!lookedUp.delete(record.id)) yield record;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!everOpen || !mayHeal(error)) throw error;
    }
    if (!broken) onBreak();
    broken = true;
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}
