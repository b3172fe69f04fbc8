import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AssistantMessageSchema,
  TranscriptEntrySchema,
  type TranscriptEntry,
} from "@openhermit/protocol/sessions/v1/session";
import { expect, test } from "vitest";
import { createAnswerReader } from "./answer-reader.ts";
import { assistantMessage, promptOf, UNKNOWN_OUTCOME } from "./prompt.ts";
import { writeStepMetadata } from "./step-metadata.ts";

const NO_USAGE = {
  inputTokens: { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 0, text: 0, reasoning: 0 },
};
type Entry = MessageInitShape<typeof TranscriptEntrySchema>["entry"];
const history = (...entries: NonNullable<Entry>[]): TranscriptEntry[] =>
  entries.map((entry) => create(TranscriptEntrySchema, { entry }));
const user = (text: string) => ({ case: "userMessage", value: { text } }) as const;
const said = (text: string, toolCalls: { callId: string; name: string; argumentsJson: string }[] = []) =>
  ({ case: "assistantMessage", value: { step: 1, text, toolCalls } }) as const;
const result = (callId: string, text: string, isError = false) =>
  ({ case: "toolResult", value: { callId, name: "t", text, isError } }) as const;

test("every call has one result, in the order of the calls; what is not known says so", () => {
  const calls = ["a", "b", "c"].map((callId) => ({ callId, name: "t", argumentsJson: '{"x":1}' }));
  const prompt = promptOf(
    "be brief",
    history(
      user("hi"),
      said("look", calls),
      result("c", "three"),
      result("a", "no", true),
      result("z", "orphan"),
      user("and?"),
    ),
    "p",
  );
  expect(prompt).toEqual([
    { role: "system", content: "be brief" },
    { role: "user", content: [{ type: "text", text: "hi" }] },
    {
      role: "assistant",
      content: [
        { type: "text", text: "look" },
        ...calls.map(({ callId }) => ({ type: "tool-call", toolCallId: callId, toolName: "t", input: { x: 1 } })),
      ],
    },
    {
      role: "tool",
      content: [
        { type: "tool-result", toolCallId: "a", toolName: "t", output: { type: "error-text", value: "no" } },
        { type: "tool-result", toolCallId: "b", toolName: "t", output: { type: "error-text", value: UNKNOWN_OUTCOME } },
        { type: "tool-result", toolCallId: "c", toolName: "t", output: { type: "text", value: "three" } },
      ],
    },
    { role: "user", content: [{ type: "text", text: "and?" }] },
  ]);
});

test("an empty step is left out, and so are empty instructions", () => {
  expect(promptOf("", history(user("a"), said(""), user("b")), "p").map(({ role }) => role)).toEqual(["user", "user"]);
});

test("arguments that are no JSON object reach the model again as something every provider takes", () => {
  const [, assistant] = promptOf(
    "",
    history(user("a"), said("", [{ callId: "c", name: "t", argumentsJson: "[1" }])),
    "p",
  );
  expect(assistant?.content).toMatchObject([{ type: "tool-call", input: { invalid_arguments: "[1" } }]);
});

test("calls keep their place between parts of reasoning; an empty text keeps what it carries, but is no message alone", () => {
  const reader = createAnswerReader("p", { onStart() {}, onText() {}, onReasoning() {} });
  const think = (id: string) =>
    reader.take({ type: "reasoning-end", id, providerMetadata: { p: { signature: `s${id}` } } });
  const call = (toolCallId: string) => reader.take({ type: "tool-call", toolCallId, toolName: "t", input: "{}" });
  for (const id of ["1", "2"]) {
    reader.take({ type: "reasoning-start", id });
    think(id);
    call(`c${id}`);
  }
  call("c3");
  reader.take({ type: "text-start", id: "3", providerMetadata: { p: { signature: "s3" } } });
  reader.take({ type: "text-end", id: "3" });
  call("c4");
  reader.take({ type: "finish", finishReason: { unified: "tool-calls", raw: undefined }, usage: NO_USAGE });
  const { text, toolCalls, providerMetadataJson } = reader.answer();
  const step = create(AssistantMessageSchema, { text, toolCalls, providerMetadataJson });
  // The calls at the end need no place.
  expect((JSON.parse(providerMetadataJson) as { parts: object[] }).parts.at(-1)).toMatchObject({ type: "text" });
  const callPart = (toolCallId: string) => ({ type: "tool-call", toolCallId, toolName: "t", input: {} });
  expect(assistantMessage(step, "p")[0]?.content).toEqual([
    { type: "reasoning", text: "", providerOptions: { p: { signature: "s1" } } },
    callPart("c1"),
    { type: "reasoning", text: "", providerOptions: { p: { signature: "s2" } } },
    callPart("c2"),
    callPart("c3"),
    { type: "text", text: "", providerOptions: { p: { signature: "s3" } } },
    callPart("c4"),
  ]);
  expect(assistantMessage(step, "other")[0]?.content).toEqual(["c1", "c2", "c3", "c4"].map(callPart));
  expect(assistantMessage(create(AssistantMessageSchema, { providerMetadataJson }), "p")).toEqual([]);
});

test("a provider's own data goes back to that provider only, around the stretches of text it belongs to", () => {
  const providerMetadataJson = writeStepMetadata(
    [
      { type: "reasoning", text: "hmm", options: { p: { signature: "s" } } },
      { type: "text", length: 2, options: { p: { id: "1" } } },
      { type: "text", length: 3 },
    ],
    "p",
  );
  const entries = history({ case: "assistantMessage", value: { step: 1, text: "onetwo", providerMetadataJson } });
  expect(promptOf("", entries, "p")[0]?.content).toEqual([
    { type: "reasoning", text: "hmm", providerOptions: { p: { signature: "s" } } },
    { type: "text", text: "on", providerOptions: { p: { id: "1" } } },
    { type: "text", text: "etw" },
    { type: "text", text: "o" },
  ]);
  expect(promptOf("", entries, "other")[0]?.content).toEqual([{ type: "text", text: "onetwo" }]);
});
