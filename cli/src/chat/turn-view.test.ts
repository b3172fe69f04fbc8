import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TurnEventSchema, TurnState } from "@openhermit/protocol/sessions/v1/session";
import { expect, it } from "vitest";
import { createTurnView } from "./turn-view.ts";

type EventInit = NonNullable<MessageInitShape<typeof TurnEventSchema>["event"]>;

function showAll(events: readonly EventInit[]): { text: string; notes: string[] } {
  let text = "";
  const notes: string[] = [];
  const view = createTurnView({
    text: (more) => (text += more),
    work: (line) => notes.push(line),
    note: (line) => notes.push(line),
    sharesTerminal: true,
  });
  for (const event of events) view.show(create(TurnEventSchema, { event }));
  return { text, notes };
}

const delta = (step: number, text: string): EventInit => ({ case: "textDelta", value: { step, text } });
const call = { callId: "c1", name: "everything__echo", argumentsJson: '{"message":"hi"}' };
const result = { callId: "c1", name: "everything__echo", text: "Echo: hi" };

it("shows nothing twice when a resumed stream repeats complete steps and the text of the running one", () => {
  const { text, notes } = showAll([
    delta(1, "Let me "),
    delta(1, "look."),
    { case: "toolCall", value: call },
    { case: "assistantMessage", value: { step: 1, text: "Let me look.", toolCalls: [call] } },
    { case: "toolResult", value: result },
    delta(2, "It says"),
    // The stream broke here; what follows is WatchTurn from its start.
    { case: "assistantMessage", value: { step: 1, text: "Let me look.", toolCalls: [call] } },
    { case: "toolResult", value: result },
    { case: "textSnapshot", value: { step: 2, text: "It says hi" } },
    delta(2, "."),
    { case: "assistantMessage", value: { step: 2, text: "It says hi." } },
  ]);
  expect(text).toBe("Let me look.\nIt says hi.");
  expect(notes).toEqual(['→ everything__echo {"message":"hi"}', "✓ everything__echo : Echo: hi"]);
});

it("holds the words about a result back until the result is shown", () => {
  const order: string[] = [];
  const view = createTurnView({
    text: (text) => order.push(text),
    work: (line) => order.push(line.slice(0, 1)),
    note: (line) => order.push(line),
    sharesTerminal: true,
  });
  const events: EventInit[] = [
    { case: "toolCall", value: call },
    delta(2, "It "),
    { case: "assistantMessage", value: { step: 1, toolCalls: [call] } },
    delta(2, "says "),
    { case: "toolResult", value: result },
    delta(2, "hi"),
    { case: "assistantMessage", value: { step: 2, text: "It says hi" } },
  ];
  for (const event of events) view.show(create(TurnEventSchema, { event }));
  expect(order).toEqual(["→", "✓", "It ", "says ", "hi"]);
});

it("shows held words at the end of a turn that never said what they waited for", () => {
  const { text } = showAll([
    { case: "toolCall", value: call },
    delta(2, "It says"),
    { case: "turn", value: { state: TurnState.FAILED } },
  ]);
  expect(text).toBe("It says\n");
});

it("shows the whole step again when another attempt says something else", () => {
  const { text } = showAll([delta(1, "Hello the"), { case: "textSnapshot", value: { step: 1, text: "Good day" } }]);
  expect(text).toBe("Hello the\nGood day");
});

it("keeps control characters of agents and tools from the terminal", () => {
  const { text, notes } = showAll([
    delta(1, "a\u001b]0;owned\u0007b\u001b[2Jc\r\u009b31md\u202ee\tf\n"),
    { case: "toolResult", value: { callId: "x", name: "t\u001b[1m", text: "1\n2\u0000" } },
  ]);
  expect(text).toMatch(/^[a-z\t\n\d]+$/);
  expect(text).toContain("e\tf\n");
  expect(notes).toEqual(["✓ t : 1 2"]);
});
