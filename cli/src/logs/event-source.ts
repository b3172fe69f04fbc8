import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { EventFilterSchema, LoggedEvent } from "@openhermit/protocol/activity/v1/activity_service";
import { NO_DEADLINE, type Gateway } from "../gateway-client.ts";

type Filter = MessageInitShape<typeof EventFilterSchema>;
type Keep = (logged: LoggedEvent) => boolean;

const PAGE_SIZE = 500;
/** How many events are looked through for those that match on this side, before it is said that there are no more. */
const MAX_LOOKED_AT = 50_000;

/** The newest events that the filter and `keep` let through, oldest first. `cut` when it stopped looking. */
export async function readEvents(
  activity: Gateway["activity"],
  filter: Filter,
  keep: Keep,
  count: number,
): Promise<{ events: LoggedEvent[]; cut: boolean }> {
  const found: LoggedEvent[] = [];
  let pageToken = "";
  let lookedAt = 0;
  do {
    const page = await activity.queryEvents({ filter, pageSize: PAGE_SIZE, pageToken });
    lookedAt += page.events.length;
    found.push(...page.events.filter(keep));
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && found.length < count && lookedAt < MAX_LOOKED_AT);
  return { events: found.slice(0, count).toReversed(), cut: pageToken !== "" && found.length < count };
}

/**
 * Events as they are stored, without a gap and without a double, beginning with the newest `last`. A connection that
 * breaks is taken up again after the last event received. Ends only with the signal, or throws what can't heal.
 */
export async function* tailEvents(
  activity: Gateway["activity"],
  options: { filter: Filter; last: number; signal: AbortSignal; onBreak(): void; onResume(): void },
): AsyncGenerator<LoggedEvent> {
  const { filter, last, signal, onBreak, onResume } = options;
  let cursor: string | undefined;
  let broken = false;
  let everLive = false;
  while (!signal.aborted) {
    try {
      const start =
        cursor === undefined ? { case: "last" as const, value: last } : { case: "afterCursor" as const, value: cursor };
      for await (const { events } of activity.tailEvents({ filter, start }, { ...NO_DEADLINE, signal })) {
        everLive = true;
        if (broken) onResume();
        broken = false;
        for (const logged of events) {
          cursor = logged.cursor;
          yield logged;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!everLive || !mayHeal(error)) throw error;
    }
    if (!broken) onBreak();
    broken = true;
    await sleep(500, undefined, { signal }).catch(() => undefined);
  }
}

/** Whether a stream that broke so may be opened again. */
export function mayHeal(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  const final = [Code.InvalidArgument, Code.Unauthenticated, Code.PermissionDenied, Code.Unimplemented, Code.NotFound];
  return !final.includes(error.code);
}
