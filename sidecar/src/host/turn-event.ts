import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { newEventId } from "@openhermit/ids";
import { EventSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import type { RunTurn } from "@openhermit/protocol/mesh/v1/link_service";
import { parseTraceparent } from "@openhermit/telemetry";

/** An event of a turn, happening now. The gateway adds the sidecar. */
export function turnEvent(request: RunTurn, detail: Event["detail"]): Event {
  return create(EventSchema, {
    id: newEventId(),
    time: timestampNow(),
    agentId: request.agentId,
    sessionId: request.sessionId,
    turnId: request.turnId,
    userId: request.userId,
    channel: request.channel,
    traceId: parseTraceparent(request.traceparent)?.traceId ?? "",
    detail,
  });
}
