import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { newEventId } from "@openhermit/ids";
import { EventSchema, type Event } from "@openhermit/protocol/activity/v1/event";

type EventInit = Extract<MessageInitShape<typeof EventSchema>, { $typeName?: never }>;

/** An event of agent one, a message that says `text`, unless told otherwise. */
export function sampleEvent(text: string, more: EventInit = {}): Event {
  return create(EventSchema, {
    id: newEventId(),
    time: { seconds: 1_790_000_000n, nanos: 0 },
    agentId: "one",
    sidecarId: "one",
    detail: { case: "messageIn", value: { text } },
    ...more,
  });
}

/** What the messages of an answer say. */
export function textsOf(answer: { events: { event?: Event | undefined }[] } | undefined): string[] {
  return (answer?.events ?? []).map(({ event }) => textOf(event));
}

/** What the message of the event says. */
export function textOf(event: Event | undefined): string {
  return event?.detail.case === "messageIn" ? event.detail.value.text : "";
}
