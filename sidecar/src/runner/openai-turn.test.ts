import { ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { SCRIPTED_SIGNATURE, startScriptedModel, type ScriptedModel } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { memoryJournal } from "../runtime/test/memory-journal.ts";
import { snapshotOf, testRuntime, turnOf, type TestRuntime } from "../runtime/test/test-runtime.ts";

let model: ScriptedModel;
let one: TestRuntime;
beforeEach(async () => {
  model = await startScriptedModel();
  one = await testRuntime({ SCRIPTED_KEY: "key-1" });
  await one.runtime.apply(
    snapshotOf({
      baseUrl: model.baseUrl,
      kind: ProviderKind.OPENAI,
      apiKeyEnv: "SCRIPTED_KEY",
      spec: { model: "scripted/gpt-5.2" },
    }),
  );
});
afterEach(async () => {
  await one.close();
  await model.close();
});

const run = (journal = memoryJournal("t1", "hi"), turnId = "t1") =>
  one.runtime.runTurn(turnOf(turnId), journal, new AbortController().signal);
const inputOf = (request: number) => model.requests[request]?.body["input"] as object[];

test("the request is one of the Responses API, and nothing is to be stored", async () => {
  await run();
  const [request] = model.requests;
  expect(request?.path).toBe("/v1/responses");
  expect(request?.body).toMatchObject({
    model: "gpt-5.2",
    stream: true,
    store: false,
    include: ["reasoning.encrypted_content"],
  });
  expect(inputOf(0)).toMatchObject([
    { role: "developer", content: "Be brief." },
    { role: "user", content: [{ type: "input_text", text: "hi" }] },
  ]);
});

test("a reasoning item goes back encrypted as it came, before its call and the call's answer; usage is disjoint", async () => {
  model.enqueue(
    {
      reasoning: "thinking hard",
      text: "I look",
      toolCalls: [{ id: "a", name: "nope", arguments: { x: 1 } }],
      usage: { input: 4, output: 9, reasoning: 6, cacheRead: 3, cacheWrite: 2 },
    },
    { text: "done", usage: { input: 1, output: 1 } },
  );
  const journal = memoryJournal("t1", "hi");
  const outcome = await run(journal);
  expect(outcome).toMatchObject({ state: TurnState.SUCCEEDED, answer: "done" });
  expect(outcome.usage).toMatchObject({
    inputTokens: 5n,
    outputTokens: 10n,
    cacheReadTokens: 3n,
    cacheWriteTokens: 2n,
    modelCalls: 2,
  });
  expect(journal.steps[0]?.call.finishReason).toBe("tool-calls");
  expect(journal.shown[0]).toMatchObject({ case: "reasoningDelta", value: { step: 1, text: "thinking hard" } });
  const expected = [
    {
      type: "reasoning",
      id: "rs_1",
      encrypted_content: SCRIPTED_SIGNATURE,
      summary: [{ type: "summary_text", text: "thinking hard" }],
    },
    { role: "assistant", content: "I look" },
    { type: "function_call", call_id: "a", name: "nope", arguments: '{"x":1}' },
    { type: "function_call_output", call_id: "a", output: expect.stringContaining("no tool") },
  ];
  expect(inputOf(1).slice(2)).toMatchObject(expected);
  // The transcript carries the same into the next turn.
  await run(memoryJournal("t2", "and?", journal.history), "t2");
  expect(inputOf(2).slice(2)).toMatchObject([...expected, { content: "done" }, { role: "user" }]);
});

test("reasoning without a summary goes back too", async () => {
  model.enqueue({ reasoning: "", toolCalls: [{ name: "nope", arguments: {} }] }, { text: "done" });
  expect(await run()).toMatchObject({ answer: "done" });
  expect(inputOf(1)[2]).toMatchObject({ type: "reasoning", id: "rs_1", encrypted_content: SCRIPTED_SIGNATURE });
});

test.each([
  { status: 429, text: "You have no credit.", error: { code: "insufficient_quota" } },
  { fail: { afterDeltas: 0, status: 429, message: "You have no credit.", code: "insufficient_quota" } },
  { text: "I am", fail: { afterDeltas: 1, status: 429, message: "You have no credit.", code: "insufficient_quota" } },
])("an account without credit is not tried again: %j", async (answer) => {
  model.enqueue(answer);
  expect((await run()).error).toMatchObject({
    reason: "MODEL_QUOTA_EXHAUSTED",
    message: expect.stringContaining("You have no credit."),
    retryable: false,
  });
  expect(model.requests).toHaveLength(1);
});

test("an endpoint that speaks only chat completions is told apart from a model that does not exist", async () => {
  model.enqueue({ status: 404, text: "Not Found" });
  const { error } = await run();
  expect(error).toMatchObject({ reason: "MODEL_NOT_FOUND" });
  expect(error?.message).toContain("the kind and base URL of the provider");
});
