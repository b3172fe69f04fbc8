import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampMs, timestampNow } from "@bufbuild/protobuf/wkt";
import { newEventId } from "@openhermit/ids";
import { EventSchema, FailureSchema, TurnEndSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import type { Log } from "@openhermit/telemetry";
import type { SessionsPorts } from "./sessions-ports.ts";
import type { TurnRecord } from "./turn-record.ts";
import { isEnd } from "./turn.ts";

/** How many turns are named when their events are not stored. */
const MAX_LOGGED_IDS = 10;

/** Writes the ends of turns that the gateway itself ends to the activity log, as a sidecar does with those that end there. */
export interface TurnEndEvents {
  /**
   * Turns that a statement of this gateway has just changed; those that did not end by it are left out. Never throws and never
   * makes anybody wait: events that can't be stored are logged and lost.
   */
  record(changed: readonly TurnRecord[]): void;
  /** Resolves when all events are stored or lost. */
  close(): Promise<void>;
}

/** Creates the writer. */
export function createTurnEndEvents(options: { ports: Pick<SessionsPorts, "recordEvents">; log: Log }): TurnEndEvents {
  const { ports, log } = options;
  const storing = new Set<Promise<void>>();

  const store = async (ended: readonly TurnRecord[]): Promise<void> => {
    try {
      await ports.recordEvents(ended.flatMap(endEvents));
    } catch (error) {
      const turnIds = ended.slice(0, MAX_LOGGED_IDS).map(({ turn }) => turn.id);
      log.warn({ err: error, turns: ended.length, turn_ids: turnIds }, "ends of turns not in the activity log");
    }
  };

  return {
    record(changed) {
      const ended = changed.filter(({ turn }) => isEnd(turn.state));
      if (ended.length === 0) return;
      const stored = store(ended).finally(() => storing.delete(stored));
      storing.add(stored);
    },
    async close() {
      await Promise.all(storing);
    },
  };
}

/** The events of one end, in their order: the failure if it is one, then the end. */
function endEvents(record: TurnRecord): Event[] {
  const { state, error, usage, startTime, endTime } = record.turn;
  const turnEnd = create(TurnEndSchema, { state });
  // A turn that called no model has used nothing.
  if (usage !== undefined && usage.modelCalls > 0) turnEnd.usage = usage;
  if (startTime !== undefined && endTime !== undefined) {
    turnEnd.duration = durationFromMs(Math.max(0, timestampMs(endTime) - timestampMs(startTime)));
  }
  const end = turnEvent(record, { case: "turnEnd", value: turnEnd });
  if (error === undefined || (state !== TurnState.FAILED && state !== TurnState.INTERRUPTED)) return [end];
  const { reason, message } = error;
  const failure = create(FailureSchema, { source: "runtime", reason, message });
  return [turnEvent(record, { case: "failure", value: failure }), end];
}

function turnEvent({ turn, userId, channel }: TurnRecord, detail: Event["detail"]): Event {
  return create(EventSchema, {
    id: newEventId(),
    time: turn.endTime ?? timestampNow(),
    agentId: turn.agentId,
    sessionId: turn.sessionId,
    turnId: turn.id,
    userId,
    channel,
    traceId: turn.traceId,
    detail,
  });
}
