import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AssistantMessageSchema, TurnState } from "@openhermit/protocol/sessions/v1/session";
import { ProviderKind } from "@openhermit/protocol/fleet/v1/agent";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { memoryJournal } from "../runtime/test/memory-journal.ts";
import { snapshotOf, testRuntime, turnOf, type TestRuntime } from "../runtime/test/test-runtime.ts";

let model: ScriptedModel;
let one: TestRuntime;
const never = new AbortController().signal;

beforeEach(async () => {
  model = await startScriptedModel();
  one = await testRuntime({ SCRIPTED_KEY: "key-1" });
});
afterEach(async () => {
  await one.close();
  await model.close();
});

const run = (journal = memoryJournal("t1", "hi"), signal = never) => one.runtime.runTurn(turnOf(), journal, signal);
const apply = (spec = {}) => one.runtime.apply(snapshotOf({ baseUrl: model.baseUrl, spec }));
const modelHealth = () => one.runtime.health().find(({ name }) => name === "model");

test("an answer is shown delta by delta and journaled once, with its usage", async () => {
  await apply({ modelParameters: { temperature: 0.5, maxOutputTokens: 77 } });
  model.enqueue({ text: "Hello you there", usage: { input: 7, output: 3, cacheRead: 5 } });
  const journal = memoryJournal("t1", "hi");
  const outcome = await run(journal);
  expect(outcome).toMatchObject({ state: TurnState.SUCCEEDED, answer: "Hello you there" });
  expect(outcome.usage).toMatchObject({ inputTokens: 7n, outputTokens: 3n, cacheReadTokens: 5n, modelCalls: 1 });
  expect(journal.order).toEqual(["text", "text", "text", "step"]);
  expect(journal.steps[0]).toMatchObject({
    toolsStart: false,
    message: { step: 1, text: "Hello you there" },
    call: { provider: "scripted", model: "test-model", step: 1, finishReason: "stop", error: "" },
  });
  expect(journal.steps[0]?.call.timeToFirstToken).toBeDefined();
  const [request] = model.requests;
  expect(request?.body).toMatchObject({ model: "test-model", stream: true, temperature: 0.5, max_tokens: 77 });
  expect(request?.body.messages).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "hi" },
  ]);
  expect(request?.headers["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  expect(request?.headers["authorization"]).toBeUndefined();
  expect(modelHealth()?.state).toBe(HealthState.OK);
});

test("the trace of the caller reaches the model", async () => {
  await apply();
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const turn = { ...turnOf(), traceparent: `00-${traceId}-b7ad6b7169203331-01` };
  await one.runtime.runTurn(turn, memoryJournal("t1", "hi"), never);
  expect(model.requests[0]?.headers["traceparent"]).toContain(traceId);
});

test("a tool that does not exist and arguments that are no JSON are answers the model sees; nothing counts as started", async () => {
  await apply();
  model.enqueue(
    {
      toolCalls: [
        { name: "nope", arguments: {} },
        { name: "also-nope", arguments: "{oops" },
      ],
    },
    { text: "I see" },
  );
  const journal = memoryJournal("t1", "hi");
  expect(await run(journal)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "I see", usage: { modelCalls: 2 } });
  expect(journal.steps.map(({ toolsStart }) => toolsStart)).toEqual([false, false]);
  expect(journal.uses.map(({ isError, result }) => [isError, result])).toEqual([
    [true, 'There is no tool "nope". There are no tools.'],
    [true, 'There is no tool "also-nope". There are no tools.'],
  ]);
  const sent = model.requests[1]?.body.messages.slice(2);
  expect(sent).toMatchObject([
    { role: "assistant", tool_calls: [{ id: "call_1" }, { id: "call_2" }] },
    { role: "tool", tool_call_id: "call_1", content: expect.stringContaining("no tool") },
    { role: "tool", tool_call_id: "call_2" },
  ]);
});

test("calls of later steps that reuse an id get one of their own", async () => {
  await apply();
  const again = { toolCalls: [{ id: "same", name: "nope", arguments: {} }] };
  model.enqueue(again, again, { text: "done" });
  const journal = memoryJournal("t1", "hi");
  await run(journal);
  expect(journal.uses.map(({ callId }) => callId)).toEqual(["same", "same-2-1"]);
  expect(
    model.requests[2]?.body.messages.filter(({ role }) => role === "tool").map((message) => message.tool_call_id),
  ).toEqual(["same", "same-2-1"]);
});

test("a turn that asks for tools without end is stopped at its limit", async () => {
  await apply({ turnLimits: { maxSteps: 3 } });
  model.always({ toolCalls: [{ name: "nope", arguments: {} }] });
  const outcome = await run();
  expect(outcome).toMatchObject({ state: TurnState.FAILED, error: { reason: "TURN_MAX_STEPS", retryable: false } });
  expect(model.requests).toHaveLength(3);
});

describe("an end from outside", () => {
  test.each([
    { when: "before the headers", hang: "headers" as const, text: "" },
    { when: "within the answer", hang: { afterDeltas: 2 }, text: "one two " },
  ])("a cancel $when closes the connection at once and keeps what was seen", async ({ hang, text }) => {
    await apply();
    model.enqueue({ text: "one two three", hang });
    const journal = memoryJournal("t1", "hi");
    const cancel = new AbortController();
    const ended = run(journal, cancel.signal);
    await waitFor(() => model.requests.length === 1 && journal.text() === text, { what: "the model to be called" });
    const at = performance.now();
    cancel.abort("asked by the operator");
    expect(await ended).toMatchObject({
      state: TurnState.CANCELLED,
      answer: text,
      error: { reason: "TURN_CANCELLED", message: "asked by the operator" },
    });
    const request = await waitFor(() => model.requests.find(({ state }) => state !== "open"), { what: "the close" });
    expect(request.state).toBe("client-closed");
    expect((request.endedAt as number) - at).toBeLessThan(1000);
    expect(journal.history.at(-1)?.entry).toMatchObject(
      text === "" ? { case: "userMessage" } : { case: "assistantMessage", value: { text } },
    );
    expect(modelHealth()?.state).toBe(HealthState.OK);
  });

  test("the time limit of a turn ends a model call that hangs", async () => {
    await apply({ turnLimits: { timeout: durationFromMs(200) } });
    model.enqueue({ hang: "headers" });
    expect(await run()).toMatchObject({ state: TurnState.FAILED, error: { reason: "TURN_TIMEOUT" } });
    await waitFor(() => model.requests[0]?.state === "client-closed", { what: "the connection to be closed" });
  });

  test("a turn cancelled before it starts calls no model", async () => {
    await apply();
    const outcome = await run(memoryJournal("t1", "hi"), AbortSignal.abort());
    expect(outcome).toMatchObject({ state: TurnState.CANCELLED, error: { message: "the turn was cancelled" } });
    expect(model.requests).toHaveLength(0);
  });
});

describe("a model that fails", () => {
  test("is tried again before its first token, each attempt on record", async () => {
    await apply();
    model.enqueue({ status: 503 }, { status: 429, headers: { "retry-after-ms": "20" } }, { text: "back" });
    const journal = memoryJournal("t1", "hi");
    expect(await run(journal)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "back", usage: { modelCalls: 3 } });
    expect(journal.failedCalls.map(({ error }) => error)).toEqual([
      expect.stringContaining("(503)"),
      expect.stringContaining("(429)"),
    ]);
  });

  test("is given up on after three attempts, and health says so until it works again", async () => {
    await apply();
    model.always({ status: 500, text: "boom" });
    const outcome = await run();
    expect(outcome).toMatchObject({ state: TurnState.FAILED, error: { reason: "MODEL_UNAVAILABLE", retryable: true } });
    expect(outcome.error?.message).toContain("boom");
    expect(model.requests).toHaveLength(3);
    expect(modelHealth()?.state).toBe(HealthState.DOWN);
    model.always({ text: "well" });
    await run();
    expect(modelHealth()).toMatchObject({ state: HealthState.OK, detail: "" });
  });

  test("is not tried again after its first token; what was seen stays", async () => {
    await apply();
    model.enqueue({ text: "half of it", cut: { afterDeltas: 2 } });
    const journal = memoryJournal("t1", "hi");
    expect(await run(journal)).toMatchObject({
      state: TurnState.FAILED,
      answer: "half of ",
      error: { reason: "MODEL_UNAVAILABLE" },
    });
    expect(model.requests).toHaveLength(1);
    expect(journal.steps[0]).toMatchObject({ message: { text: "half of " }, call: { finishReason: "error" } });
  });

  test.each([
    [{ status: 401 }, "MODEL_KEY_REFUSED", false],
    [{ status: 404 }, "MODEL_NOT_FOUND", false],
    [{ status: 400, text: "too long" }, "MODEL_REQUEST_REFUSED", false],
    [{ status: 429, headers: { "retry-after": "3600" } }, "MODEL_RATE_LIMITED", true],
    [{ text: "", finishReason: "stop" }, "MODEL_EMPTY_ANSWER", true],
    [{ text: "no", finishReason: "content_filter" }, "MODEL_CONTENT_FILTERED", false],
  ])("%j ends the turn as %s after one call", async (answer, reason, retryable) => {
    await apply();
    model.always(answer);
    expect(await run()).toMatchObject({ state: TurnState.FAILED, error: { reason, retryable } });
    expect(model.requests).toHaveLength(1);
  });

  test("that can't be reached is named with its address", async () => {
    await apply({});
    await one.runtime.apply(snapshotOf({ baseUrl: "http://127.0.0.1:9/v1" }));
    const outcome = await run();
    expect(outcome.error).toMatchObject({ reason: "MODEL_UNAVAILABLE", retryable: true });
    expect(outcome.error?.message).toContain("http://127.0.0.1:9/v1");
  });

  test("without its key says which variable to set, calls nobody, and is down from the start", async () => {
    await one.runtime.apply(snapshotOf({ baseUrl: model.baseUrl, apiKeyEnv: "OTHER_KEY" }));
    expect(modelHealth()).toMatchObject({ state: HealthState.DOWN, detail: expect.stringContaining("OTHER_KEY") });
    const outcome = await run();
    expect(outcome.error).toMatchObject({ reason: "MODEL_KEY_MISSING", retryable: false });
    expect(model.requests).toHaveLength(0);
    await one.runtime.apply(snapshotOf({ baseUrl: model.baseUrl, apiKeyEnv: "SCRIPTED_KEY" }));
    expect(modelHealth()?.state).toBe(HealthState.OK);
    await run();
    expect(model.requests[0]?.headers["authorization"]).toBe("Bearer key-1");
  });
});

test("a journal that can't be written ends the turn with the reason", async () => {
  await apply();
  model.enqueue({ toolCalls: [{ name: "nope", arguments: {} }] });
  const journal = memoryJournal("t1", "hi");
  const outcome = await run({
    ...journal,
    step: () => {
      throw new Error("disk full");
    },
  });
  expect(outcome).toMatchObject({ state: TurnState.FAILED, error: { reason: "TURN_INTERNAL" } });
  expect(journal.uses).toHaveLength(0);
  expect(one.log.records().find(({ msg }) => msg === "turn failed unexpectedly")).toBeDefined();
});

test("a second attempt goes on after the steps of the first; a finished answer is not asked for again", async () => {
  await apply();
  const first = memoryJournal("t1", "hi");
  const call = { callId: "c1", name: "nope", argumentsJson: "{}" };
  first.step({
    message: create(AssistantMessageSchema, { step: 1, text: "Let me see", toolCalls: [call] }),
    call: {} as never,
    toolsStart: false,
  });
  model.enqueue({ text: "now I know" });
  expect(await run(first)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "now I know" });
  expect(first.steps[1]?.message.step).toBe(2);
  expect(model.requests[0]?.body.messages.at(-1)).toMatchObject({
    role: "tool",
    tool_call_id: "c1",
    content: expect.stringContaining("outcome is unknown"),
  });
  expect(await run(first)).toMatchObject({ state: TurnState.SUCCEEDED, answer: "now I know" });
  expect(model.requests).toHaveLength(1);
});

test("Anthropic: reasoning goes back signed as it came, tools and usage are read", async () => {
  await one.runtime.apply(
    snapshotOf({ baseUrl: model.baseUrl, kind: ProviderKind.ANTHROPIC, apiKeyEnv: "SCRIPTED_KEY" }),
  );
  model.enqueue(
    {
      reasoning: "thinking hard",
      text: "I look",
      toolCalls: [{ name: "nope", arguments: { a: 1 } }],
      usage: { input: 4, output: 2, cacheRead: 3, cacheWrite: 1 },
    },
    { text: "done", usage: { input: 1, output: 1 } },
  );
  const journal = memoryJournal("t1", "hi");
  const outcome = await run(journal);
  expect(outcome).toMatchObject({ state: TurnState.SUCCEEDED, answer: "done" });
  expect(outcome.usage).toMatchObject({
    inputTokens: 5n,
    outputTokens: 3n,
    cacheReadTokens: 3n,
    cacheWriteTokens: 1n,
    modelCalls: 2,
  });
  expect(journal.shown[0]).toMatchObject({ case: "reasoningDelta", value: { step: 1, text: "thinking hard" } });
  const [first, second] = model.requests;
  expect(first?.headers["x-api-key"]).toBe("key-1");
  expect(first?.body.system).toMatchObject([{ type: "text", text: "Be brief." }]);
  expect(second?.body.messages.slice(1)).toMatchObject([
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "thinking hard", signature: "scripted-signature" },
        { type: "text", text: "I look" },
        { type: "tool_use", id: "call_1", name: "nope", input: { a: 1 } },
      ],
    },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "call_1", is_error: true }] },
  ]);
});
