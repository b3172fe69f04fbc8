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
      kind: ProviderKind.GOOGLE,
      apiKeyEnv: "SCRIPTED_KEY",
      spec: { model: "scripted/gemini-3-pro-preview" },
    }),
  );
});
afterEach(async () => {
  await one.close();
  await model.close();
});

const run = (journal = memoryJournal("t1", "hi"), turnId = "t1") =>
  one.runtime.runTurn(turnOf(turnId), journal, new AbortController().signal);
const contentsOf = (request: number) => model.requests[request]?.body["contents"] as object[];

test("the request is one of streamGenerateContent", async () => {
  await run();
  const [request] = model.requests;
  expect(request?.path).toBe("/v1/models/gemini-3-pro-preview:streamGenerateContent?alt=sse");
  expect(request?.body).toMatchObject({
    systemInstruction: { parts: [{ text: "Be brief." }] },
    contents: [{ role: "user", parts: [{ text: "hi" }] }],
  });
});

test("a function call goes back with its thought signature and its answer; usage is disjoint", async () => {
  model.enqueue(
    {
      reasoning: "thinking hard",
      text: "I look",
      toolCalls: [
        { id: "a", name: "nope", arguments: { x: 1 } },
        { id: "b", name: "nope", arguments: {} },
      ],
      usage: { input: 4, output: 9, reasoning: 6, cacheRead: 3 },
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
    cacheWriteTokens: 0n,
    modelCalls: 2,
  });
  expect(journal.steps[0]?.call.finishReason).toBe("tool-calls");
  expect(journal.shown[0]).toMatchObject({ case: "reasoningDelta", value: { step: 1, text: "thinking hard" } });
  expect(contentsOf(1).slice(1)).toEqual([
    {
      role: "model",
      parts: [
        { text: "thinking hard", thought: true },
        { text: "I look" },
        { functionCall: { id: "a", name: "nope", args: { x: 1 } }, thoughtSignature: SCRIPTED_SIGNATURE },
        { functionCall: { id: "b", name: "nope", args: {} } },
      ],
    },
    {
      role: "user",
      parts: ["a", "b"].map((id) => ({
        functionResponse: { id, name: "nope", response: { name: "nope", error: expect.stringContaining("no tool") } },
      })),
    },
  ]);
});

test("the signature at the end of an answer goes back in the next turn", async () => {
  model.enqueue({ reasoning: "hmm", text: "Hello you" });
  const first = memoryJournal("t1", "hi");
  await run(first);
  await run(memoryJournal("t2", "and?", first.history), "t2");
  const [, said] = contentsOf(1);
  expect(said).toMatchObject({ role: "model" });
  const { parts } = said as { parts: { text: string; thought?: boolean; thoughtSignature?: string }[] };
  expect(
    parts
      .filter(({ thought }) => thought !== true)
      .map(({ text }) => text)
      .join(""),
  ).toBe("Hello you");
  expect(parts.at(-1)?.thoughtSignature).toBe(SCRIPTED_SIGNATURE);
});

test("a key that Gemini calls an invalid argument is a key refused", async () => {
  model.enqueue({
    status: 400,
    text: "API key not valid. Please pass a valid API key.",
    error: { details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" }] },
  });
  expect((await run()).error).toMatchObject({
    reason: "MODEL_KEY_REFUSED",
    message: expect.stringContaining("SCRIPTED_KEY"),
    retryable: false,
  });
});

test("the wait that Gemini asks for in the body is kept: a short one waited for, a long one not", async () => {
  const limited = (retryDelay: string) => ({
    status: 429,
    error: { details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay }] },
  });
  model.enqueue(limited("1.2s"), { text: "back" });
  expect(await run()).toMatchObject({ state: TurnState.SUCCEEDED, answer: "back" });
  const [before, after] = model.requests;
  expect((after?.receivedAt as number) - (before?.endedAt as number)).toBeGreaterThanOrEqual(1190);
  model.enqueue(limited("3600s"));
  expect((await run()).error).toMatchObject({ reason: "MODEL_RATE_LIMITED", retryable: true });
  expect(model.requests).toHaveLength(3);
});

test("a function call that Gemini failed to write is asked for again, and is no answer", async () => {
  const malformed = { text: "", finishReason: "MALFORMED_FUNCTION_CALL" };
  model.enqueue(malformed, { text: "now" });
  expect(await run()).toMatchObject({ state: TurnState.SUCCEEDED, answer: "now" });
  model.enqueue({ ...malformed, text: "I will look" });
  const journal = memoryJournal("t1", "hi");
  expect(await run(journal)).toMatchObject({
    state: TurnState.FAILED,
    error: { reason: "MODEL_ANSWER_INVALID", message: expect.stringContaining("MALFORMED_FUNCTION_CALL") },
  });
  expect(journal.steps[0]?.message.text).toBe("I will look");
  expect(model.requests).toHaveLength(3);
});
