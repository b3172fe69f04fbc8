import { EventType, type Event } from "@openhermit/protocol/activity/v1/event";
import { TurnStateSchema } from "@openhermit/protocol/sessions/v1/session";

type Detail = Event["detail"];
type DetailCase = NonNullable<Detail["case"]>;

const TYPES: Readonly<Record<DetailCase, EventType>> = {
  messageIn: EventType.MESSAGE_IN,
  messageOut: EventType.MESSAGE_OUT,
  modelCall: EventType.MODEL_CALL,
  toolUse: EventType.TOOL_USE,
  failure: EventType.FAILURE,
  turnEnd: EventType.TURN_END,
  healthChange: EventType.HEALTH_CHANGE,
  configChange: EventType.CONFIG_CHANGE,
  sidecarChange: EventType.SIDECAR_CHANGE,
};

/** Longer texts are found by their beginning only. */
const MAX_TEXT_LENGTH = 8192;

/** The kind of the event; UNSPECIFIED for a kind that this version does not know. */
export function typeOf(event: Event): EventType {
  return event.detail.case === undefined ? EventType.UNSPECIFIED : TYPES[event.detail.case];
}

function words(detail: Detail): readonly string[] {
  switch (detail.case) {
    case "messageIn":
    case "messageOut":
      return [detail.value.text];
    case "modelCall":
      return [`${detail.value.provider}/${detail.value.model}`, detail.value.finishReason, detail.value.error];
    case "toolUse":
      return [detail.value.name, detail.value.argumentsJson, detail.value.result];
    case "failure":
      return [detail.value.source, detail.value.reason, detail.value.message];
    case "turnEnd":
      return [TurnStateSchema.value[detail.value.state]?.localName ?? ""];
    case "healthChange":
      return [detail.value.component, detail.value.state, detail.value.detail];
    case "configChange":
      return [detail.value.rejectedReason === "" ? "applied" : "rejected", detail.value.rejectedReason];
    case "sidecarChange":
      return [detail.value.change, detail.value.detail];
    default:
      return [];
  }
}

/** The search text of the event: what a person would grep for, lower-cased and cut to 8,192 characters. */
export function searchTextOf(event: Event): string {
  return words(event.detail)
    .filter((word) => word !== "")
    .join("\n")
    .slice(0, MAX_TEXT_LENGTH)
    .toLowerCase();
}

/** When the event happened, cut to milliseconds, which is the precision of the log; now, when it does not say. */
export function timeOf(event: Event): Date {
  if (event.time === undefined) return new Date();
  return new Date(Number(event.time.seconds) * 1000 + Math.trunc(event.time.nanos / 1_000_000));
}
