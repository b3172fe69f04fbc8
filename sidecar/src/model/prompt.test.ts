import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TranscriptEntrySchema, type TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";
import { expect, test } from "vitest";
import { promptOf, UNKNOWN_OUTCOME } from "./prompt.ts";
import { writeStepMetadata } from "./step-metadata.ts";

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
