import type { Reach } from "@openhermit/caller";
import { invalidArgument } from "@openhermit/errors";
import type { EventFilter } from "@openhermit/protocol/activity/v1/activity_service";
import type { Event, EventType } from "@openhermit/protocol/activity/v1/event";
import { searchTextOf, timeOf, typeOf } from "./event.ts";

/** Which events, in the log's own words. Undefined and empty mean all. */
export interface EventQuery {
  /** Whose events the reader may see. Asked anew for each page and each event: it changes while a tail is open. */
  readonly reach: Reach;
  readonly agentId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly turnId: string;
  readonly types: readonly EventType[];
  readonly from: Date | undefined;
  readonly before: Date | undefined;
  /** Lower-cased. */
  readonly text: string;
}

function toDate(time: EventFilter["startTime"]): Date | undefined {
  return time === undefined ? undefined : new Date(Number(time.seconds) * 1000 + Math.trunc(time.nanos / 1_000_000));
}

/** Reads the filter of a reader. Errors: TIME_RANGE_INVALID when it ends before it starts. */
export function toQuery(filter: EventFilter | undefined, reach: Reach): EventQuery {
  const from = toDate(filter?.startTime);
  const before = toDate(filter?.endTime);
  if (from !== undefined && before !== undefined && from > before) {
    throw invalidArgument("TIME_RANGE_INVALID", "the time range ends before it starts", {
      hint: "Set start_time to a time before end_time.",
    });
  }
  return {
    reach,
    agentId: filter?.agentId ?? "",
    userId: filter?.userId ?? "",
    sessionId: filter?.sessionId ?? "",
    turnId: filter?.turnId ?? "",
    types: filter?.types ?? [],
    from,
    before,
    text: (filter?.text ?? "").toLowerCase(),
  };
}

/** Whether the reader may see the event: those without an agent are for readers of everything. */
export function isInReach({ reach }: EventQuery, { agentId }: Event): boolean {
  return reach.all || (agentId !== "" && reach.has(agentId));
}

/** Whether the event is one of those asked for: the same answer as the log's own statement gives. */
export function matches(query: EventQuery, event: Event): boolean {
  return (
    isInReach(query, event) &&
    (query.agentId === "" || query.agentId === event.agentId) &&
    (query.userId === "" || query.userId === event.userId) &&
    (query.sessionId === "" || query.sessionId === event.sessionId) &&
    (query.turnId === "" || query.turnId === event.turnId) &&
    (query.types.length === 0 || query.types.includes(typeOf(event))) &&
    (query.from === undefined || timeOf(event) >= query.from) &&
    (query.before === undefined || timeOf(event) < query.before) &&
    (query.text === "" || searchTextOf(event).includes(query.text))
  );
}
