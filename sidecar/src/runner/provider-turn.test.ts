import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, waitFor, type ScriptedAnswer, type ScriptedModel } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { memoryJournal } from "../runtime/test/memory-journal.ts";
import { snapshotOf, testRuntime, turnOf, type TestRuntime } from "../runtime/test/test-runtime.ts";

let model: ScriptedModel;
let one: TestRuntime;
beforeEach(async () => {
  model = await startScriptedModel();
  one = await testRuntime({ SCRIPTED_KEY: "key-1" });
});
afterEach(async () => {
  await one.close();
  await model.close();
});

const never = new AbortController().signal;
const run = (journal = memoryJournal("t1", "hi"), signal = never) => one.runtime.runTurn(turnOf(), journal, signal);
const modelHealth = () => one.runtime.health().find(({ name }) => name === "model");

// What is the same whatever protocol a provider speaks.
describe.each([
  {
    kind: ProviderKind.ANTHROPIC,
    name: "anthropic",
    key: "x-api-key",
    filtered: "refusal",
    cutOff: "max_tokens",
    overloaded: "overloaded_error",
  },
  {
    kind: ProviderKind.OPENAI,
    name: "openai-responses",
    key: "authorization",
    filtered: "content_filter",
    cutOff: "max_output_tokens",
    overloaded: "server_error",
  },
  {
    kind: ProviderKind.GOOGLE,
    name: "gemini",
    key: "x-goog-api-key",
    filtered: "SAFETY",
    cutOff: "MAX_TOKENS",
    overloaded: "UNAVAILABLE",
  },
  {
    kind: ProviderKind.OPENAI_COMPATIBLE,
    name: "openai",
    key: "authorization",
    filtered: "content_filter",
    cutOff: "length",
    overloaded: "overloaded_error",
  },
])("$name", ({ kind, name, key, filtered, cutOff, overloaded }) => {
  const apply = (spec = {}, apiKeyEnv = "SCRIPTED_KEY") =>
    one.runtime.apply(snapshotOf({ baseUrl: model.baseUrl, kind, spec, apiKeyEnv }));

  test("streams an answer with the key, the trace and the parameters in the request", async () => {
    await apply({ modelParameters: { temperature: 0.5, topP: 0.25, maxOutputTokens: 77 } });
    model.enqueue({ text: "Hello you there", usage: { input: 7, output: 3 } });
    const journal = memoryJournal("t1", "hi");
    const outcome = await run(journal);
    expect(outcome).toMatchObject({ state: TurnState.SUCCEEDED, answer: "Hello you there" });
    expect(outcome.usage).toMatchObject({ inputTokens: 7n, outputTokens: 3n, cacheReadTokens: 0n, modelCalls: 1 });
    expect(journal.order).toEqual(["text", "text", "text", "step"]);
    expect(journal.steps[0]?.call).toMatchObject({ finishReason: "stop", error: "" });
    expect(journal.steps[0]?.call.timeToFirstToken).toBeDefined();
    const [request] = model.requests;
    expect(request?.protocol).toBe(name);
    expect(request?.body.model).toBe("test-model");
    expect(request?.headers[key]).toBe(key === "authorization" ? "Bearer key-1" : "key-1");
    expect(request?.headers["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
    expect(JSON.stringify(request?.body)).toMatch(/:77[,}]/);
    expect(modelHealth()?.state).toBe(HealthState.OK);
  });

  test("without its key calls nobody and says which variable to set", async () => {
    await apply({}, "OTHER_KEY");
    expect((await run()).error).toMatchObject({
      reason: "MODEL_KEY_MISSING",
      message: expect.stringContaining("OTHER_KEY"),
      retryable: false,
    });
    expect(modelHealth()?.state).toBe(HealthState.DOWN);
    expect(model.requests).toHaveLength(0);
  });

  test.each<[ScriptedAnswer, string, boolean]>([
    [{ status: 401, text: "who are you" }, "MODEL_KEY_REFUSED", false],
    [{ status: 403, text: "not for you" }, "MODEL_KEY_REFUSED", false],
    [{ status: 404, text: "what model" }, "MODEL_NOT_FOUND", false],
    [{ status: 400, text: "too long" }, "MODEL_REQUEST_REFUSED", false],
    [{ status: 429, text: "slowly", headers: { "retry-after": "3600" } }, "MODEL_RATE_LIMITED", true],
    [{ status: 503, text: "busy", headers: { "retry-after": "3600" } }, "MODEL_UNAVAILABLE", true],
  ])("%j ends the turn as %s, in the provider's words", async (answer, reason, retryable) => {
    await apply();
    model.always(answer);
    const { state, error } = await run();
    expect({ state, error }).toMatchObject({ state: TurnState.FAILED, error: { reason, retryable } });
    expect(error?.message).toContain(answer.text);
    expect(error?.message).toContain(`(${answer.status})`);
    expect(error?.message).not.toContain("key-1");
    expect(model.requests).toHaveLength(1);
  });

  test("is tried again after an error before its first token, also one within the stream", async () => {
    await apply();
    model.enqueue(
      { status: 500, headers: { "retry-after-ms": "5" } },
      { fail: { afterDeltas: 0, status: 503, message: "come back later", code: overloaded } },
      { text: "back" },
    );
    const journal = memoryJournal("t1", "hi");
    expect(await run(journal)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "back" });
    expect(journal.failedCalls.map(({ error }) => error)).toEqual([
      expect.stringContaining("(500)"),
      expect.stringContaining("come back later"),
    ]);
  });

  test.each<ScriptedAnswer>([
    { cut: { afterDeltas: 2 } },
    { fail: { afterDeltas: 2, status: 503, message: "come back later", code: overloaded } },
  ])("is not tried again after its first token: %j", async (broken) => {
    await apply();
    model.enqueue({ text: "half of it", ...broken });
    const journal = memoryJournal("t1", "hi");
    expect(await run(journal)).toMatchObject({
      state: TurnState.FAILED,
      answer: "half of ",
      error: { reason: "MODEL_UNAVAILABLE", retryable: true },
    });
    expect(model.requests).toHaveLength(1);
    expect(journal.steps[0]).toMatchObject({ message: { text: "half of " }, call: { finishReason: "error" } });
  });

  test.each([
    { when: "before the headers", hang: "headers" as const, text: "" },
    { when: "before the first token", hang: { afterDeltas: 0 }, text: "" },
    { when: "within the answer", hang: { afterDeltas: 2 }, text: "one two " },
  ])("a cancel $when closes the connection at once", async ({ hang, text }) => {
    await apply();
    model.enqueue({ text: "one two three", hang });
    const journal = memoryJournal("t1", "hi");
    const cancel = new AbortController();
    const ended = run(journal, cancel.signal);
    await waitFor(() => model.requests.length === 1 && journal.text() === text, { what: "the model to be called" });
    const at = performance.now();
    cancel.abort("asked by the operator");
    expect(await ended).toMatchObject({ state: TurnState.CANCELLED, answer: text });
    const request = await waitFor(() => model.requests.find(({ state }) => state !== "open"), { what: "the close" });
    expect(request.state).toBe("client-closed");
    expect((request.endedAt as number) - at).toBeLessThan(1000);
    expect(model.requests).toHaveLength(1);
  });

  test("the time limit of a turn closes the connection of a stream that hangs", async () => {
    await apply({ turnLimits: { timeout: durationFromMs(300) } });
    model.enqueue({ text: "one two", hang: { afterDeltas: 1 } });
    expect(await run()).toMatchObject({ state: TurnState.FAILED, error: { reason: "TURN_TIMEOUT" } });
    await waitFor(() => model.requests[0]?.state === "client-closed", { what: "the connection to be closed" });
  });

  test("an answer cut off at its length is one, a filtered one is an error", async () => {
    await apply();
    model.enqueue({ text: "as far as it", finishReason: cutOff });
    const journal = memoryJournal("t1", "hi");
    expect(await run(journal)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "as far as it" });
    expect(journal.steps[0]?.call.finishReason).toBe("length");
    model.enqueue({ text: "no", finishReason: filtered });
    expect(await run()).toMatchObject({ state: TurnState.FAILED, error: { reason: "MODEL_CONTENT_FILTERED" } });
  });
});
