import { create } from "@bufbuild/protobuf";
import { EventSchema, type Event } from "@openhermit/protocol/activity/v1/event";
import { expect, test } from "vitest";
import { withKnownOrigin } from "./known-origin.ts";

test("neither the sidecar nor the sender of a message is what the event claims", () => {
  const claim = (turnId: string, detail: Event["detail"]): { sidecarId: string; event: Event } => ({
    sidecarId: "one",
    event: create(EventSchema, { agentId: "one", sidecarId: "another", turnId, detail }),
  });
  const messageIn = (turnId: string) =>
    claim(turnId, {
      case: "messageIn",
      value: { $typeName: "openhermit.activity.v1.MessageIn", text: "hello", sender: "member:victim" },
    });
  const messageOut = claim("known", {
    case: "messageOut",
    value: { $typeName: "openhermit.activity.v1.MessageOut", text: "hello" },
  });
  const events = withKnownOrigin([messageIn("known"), messageIn("unknown"), messageOut], (turnId, agentId) =>
    turnId === "known" && agentId === "one" ? "member:ann" : "",
  );
  expect(events).toMatchObject([
    { sidecarId: "one", detail: { value: { text: "hello", sender: "member:ann" } } },
    { sidecarId: "one", detail: { value: { text: "hello", sender: "" } } },
    { sidecarId: "one", detail: { value: { text: "hello" } } },
  ]);
});
