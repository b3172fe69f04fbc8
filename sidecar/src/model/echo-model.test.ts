import { expect, test } from "vitest";
import { createEchoModel } from "./echo-model.ts";
import type { ModelAnswer, ModelTool, PromptMessage } from "./model.ts";

const tools: ModelTool[] = [
  {
    type: "function",
    name: "everything__echo",
    inputSchema: {
      type: "object",
      properties: { count: { type: "number" }, loud: { type: "string" }, message: { type: "string" } },
      required: ["message"],
    },
  },
  {
    type: "function",
    name: "everything__get-sum",
    inputSchema: { type: "object", properties: { a: { type: "number" } } },
  },
];
const user = (text: string): PromptMessage => ({ role: "user", content: [{ type: "text", text }] });

async function ask(prompt: PromptMessage[], offered = tools): Promise<ModelAnswer & { deltas: string[] }> {
  const deltas: string[] = [];
  const answer = await createEchoModel("offline").call({
    prompt,
    tools: offered,
    parameters: undefined,
    traceparent: "",
    signal: new AbortController().signal,
    onStart: () => undefined,
    onText: (delta) => void deltas.push(delta),
    onReasoning: () => undefined,
  });
  return { ...answer, deltas };
}

test.each([
  ["use echo to say hello", "everything__echo", { message: "hello" }],
  ["Please use the tool `everything__echo` to say hello\nworld", "everything__echo", { message: "hello\nworld" }],
  ['use everything__get-sum with {"a": 2}', "everything__get-sum", { a: 2 }],
  ['use get-sum with {"a": 2}', "everything__get-sum", { a: 2 }],
])("%j calls %s", async (message, name, input) => {
  const { toolCalls, finishReason } = await ask([user(message)]);
  expect(finishReason).toBe("tool-calls");
  expect(toolCalls).toHaveLength(1);
  expect(toolCalls[0]?.name).toBe(name);
  expect(JSON.parse(toolCalls[0]?.argumentsJson ?? "")).toEqual(input);
});

test("a tool's result becomes the answer", async () => {
  const { text, toolCalls } = await ask([
    user("use echo to say hello"),
    { role: "assistant", content: [{ type: "tool-call", toolCallId: "c", toolName: "everything__echo", input: {} }] },
    {
      role: "tool",
      content: [
        {
          type: "tool-result",
          toolCallId: "c",
          toolName: "everything__echo",
          output: { type: "text", value: "Echo: hello" },
        },
      ],
    },
  ]);
  expect(text).toBe("The tool everything__echo answered: Echo: hello");
  expect(toolCalls).toEqual([]);
});

test("anything else is repeated, word by word, with what was said before and what it can do", async () => {
  const { text, deltas } = await ask([user("first"), user("good morning")]);
  expect(text).toMatch(
    /^You said: "good morning"\. Before that you said: "first" \(this is message 2\)\. .*use echo to say/,
  );
  expect(deltas.length).toBeGreaterThan(10);
  expect(deltas.join("")).toBe(text);
});

test.each([
  ["use nothing to say hi", tools, /no tool "nothing"\. My tools: everything__echo, everything__get-sum\./],
  ["use echo to say hi", [], /no tools/],
  ["use echo with {oops}", tools, /not valid JSON: \{oops\}/],
  ["use get-sum to say hi", tools, /takes no text/],
])("%j is answered with help", async (message, offered, help) => {
  const { text, toolCalls } = await ask([user(message)], offered);
  expect(text).toMatch(help);
  expect(toolCalls).toEqual([]);
});

test("a very long message is cut and comes quickly", async () => {
  const { text } = await ask([user("word ".repeat(200_000))]);
  expect(text.length).toBeLessThan(3000);
});
