import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { AgentSpec } from "@openhermit/protocol/fleet/v1/agent";
import {
  AssistantMessageSchema,
  ReasoningDeltaSchema,
  TextDeltaSchema,
  TurnErrorSchema,
  TurnState,
  UsageSchema,
  type ToolCall,
  type TranscriptEntry,
  type TurnError,
  type Usage,
} from "@openhermit/protocol/sessions/v1/session";
import { GEN_AI, parseTraceparent, type Log, type Telemetry, type TraceContext } from "@openhermit/telemetry";
import type { Model } from "../model/model.ts";
import { assistantMessage, promptOf, toolMessage } from "../model/prompt.ts";
import type { RuntimeTurn } from "../runtime/runtime-turn.ts";
import type { TurnJournal, TurnOutcome } from "../runtime/turn-journal.ts";
import type { Toolset } from "../tools/tool.ts";
import { callModel, type ModelStepResult } from "./call-model.ts";
import { isCallable, runTools } from "./run-tools.ts";
import { createTurnDeadline } from "./turn-deadline.ts";
import { knownTurnError, TurnFailure } from "./turn-failure.ts";

const MAX_STEPS = 32;
const TIMEOUT_MS = 600_000;

/** What a turn runs with: all of it as it is when the turn starts. */
export interface TurnSetup {
  agentId: string;
  spec: AgentSpec;
  /** What the system prompt says: the agent's instructions, and what is added to them. */
  instructions: string;
  model: Model;
  telemetry: Telemetry;
  log: Log;
  /** Asked once, at the start; may wait for servers that are connecting. */
  toolset: (signal: AbortSignal) => Promise<Toolset>;
  /** Told of every model call's error, and of undefined after one that succeeded. */
  onModelCalled: (error: unknown) => void;
}

/** Runs a turn: model, tools, model, until the model has nothing more to ask. Never rejects. */
export async function runTurn(
  setup: TurnSetup,
  turn: RuntimeTurn,
  journal: TurnJournal,
  cancelled: AbortSignal,
): Promise<TurnOutcome> {
  const limits = setup.spec.turnLimits;
  const deadline = createTurnDeadline(
    cancelled,
    limits?.timeout === undefined ? TIMEOUT_MS : durationMs(limits.timeout),
  );
  const progress: Progress = { answer: "", usage: create(UsageSchema) };
  try {
    const span = {
      parent: parseTraceparent(turn.traceparent),
      attributes: {
        [GEN_AI.operationName]: "invoke_agent",
        [GEN_AI.agentId]: setup.agentId,
        [GEN_AI.conversationId]: turn.sessionId,
      },
    };
    await setup.telemetry.span(`invoke_agent ${setup.agentId}`, span, (context) =>
      steps(setup, turn, journal, deadline.signal, progress, context),
    );
    return { state: TurnState.SUCCEEDED, ...progress };
  } catch (thrown) {
    if (cancelled.aborted) return { state: TurnState.CANCELLED, ...progress, error: cancelledError(cancelled.reason) };
    const known = knownTurnError(deadline.signal.aborted ? deadline.signal.reason : thrown);
    if (known === undefined) setup.log.error({ error: thrown, turn_id: turn.turnId }, "turn failed unexpectedly");
    return { state: TurnState.FAILED, ...progress, error: known ?? internalError() };
  } finally {
    deadline.clear();
  }
}

interface Progress {
  answer: string;
  usage: Usage;
}

async function steps(
  setup: TurnSetup,
  turn: RuntimeTurn,
  journal: TurnJournal,
  signal: AbortSignal,
  progress: Progress,
  parent: TraceContext,
): Promise<void> {
  const { model, spec, telemetry, log } = setup;
  const before = stepsOf(journal.history, turn.turnId);
  // An earlier attempt got as far as the answer and was lost before it could say so.
  if (before.finished !== undefined) {
    progress.answer = before.finished;
    return;
  }
  const toolset = await setup.toolset(signal);
  signal.throwIfAborted();
  const prompt = promptOf(setup.instructions, journal.history, model.provider);
  const usedIds = before.callIds;
  const maxSteps = spec.turnLimits?.maxSteps ?? MAX_STEPS;

  for (let step = before.count + 1; ; step += 1) {
    if (step > maxSteps) throw tooManySteps(maxSteps);
    const result = await callModel({
      model,
      step,
      prompt,
      tools: toolset.definitions,
      parameters: spec.modelParameters,
      telemetry,
      parent,
      signal,
      onText: (text) => journal.show({ case: "textDelta", value: create(TextDeltaSchema, { step, text }) }),
      onReasoning: (text) =>
        journal.show({ case: "reasoningDelta", value: create(ReasoningDeltaSchema, { step, text }) }),
      onRetry(call) {
        addUsage(progress.usage, call.usage);
        journal.failedCall(call);
      },
    });
    addUsage(progress.usage, result.call.usage);
    if (!signal.aborted) setup.onModelCalled(result.error);
    if (result.text.trim() !== "") progress.answer = result.text;
    const message = create(AssistantMessageSchema, {
      step,
      text: result.text,
      toolCalls: uniqueCalls(result.answer?.toolCalls ?? [], step, usedIds),
      providerMetadataJson: result.answer?.providerMetadataJson ?? "",
    });
    if (result.answer === undefined) {
      // What a person has seen stays on record, also when it broke off.
      if (result.text === "") journal.failedCall(result.call);
      else journal.step({ message, call: result.call, toolsStart: false });
      throw result.error;
    }
    const calls = message.toolCalls;
    const filtered = result.answer.finishReason === "content-filter";
    const toolsStart = !filtered && calls.some((call) => isCallable(call, toolset));
    journal.step({ message, call: result.call, toolsStart });
    if (filtered) throw contentFiltered(model);
    if (calls.length === 0) {
      if (progress.answer === "") throw emptyAnswer(model, result);
      return;
    }
    const results = await runTools({ turnId: turn.turnId, calls, toolset, journal, telemetry, log, parent, signal });
    signal.throwIfAborted();
    prompt.push(...assistantMessage(message, model.provider), toolMessage(calls, results));
  }
}

/** What an earlier attempt of the turn has left. */
function stepsOf(history: readonly TranscriptEntry[], turnId: string) {
  let count = 0;
  const callIds = new Set<string>();
  let finished: string | undefined;
  for (const { turnId: of, entry } of history) {
    if (of !== turnId) continue;
    finished = undefined;
    if (entry.case !== "assistantMessage") continue;
    const { step, text, toolCalls } = entry.value;
    count = Math.max(count, step);
    for (const { callId } of toolCalls) callIds.add(callId);
    if (toolCalls.length === 0 && text.trim() !== "") finished = text;
  }
  return { count, callIds, finished };
}

/** Some endpoints number the calls of every answer from one; within a turn each call has an id of its own. */
function uniqueCalls(calls: readonly ToolCall[], step: number, used: Set<string>): ToolCall[] {
  return calls.map((call, index) => {
    if (call.callId === "" || used.has(call.callId)) call.callId = `${call.callId || "call"}-${step}-${index + 1}`;
    used.add(call.callId);
    return call;
  });
}

function addUsage(sum: Usage, more: Usage | undefined): void {
  if (more === undefined) return;
  sum.inputTokens += more.inputTokens;
  sum.outputTokens += more.outputTokens;
  sum.cacheReadTokens += more.cacheReadTokens;
  sum.cacheWriteTokens += more.cacheWriteTokens;
  sum.modelCalls += more.modelCalls;
}

function tooManySteps(maxSteps: number): TurnFailure {
  return new TurnFailure(
    "TURN_MAX_STEPS",
    `the turn needed more than its limit of ${maxSteps} model calls and was stopped; raise turn_limits.max_steps or ask for less at a time`,
    false,
  );
}

function contentFiltered({ provider, name }: Model): TurnFailure {
  return new TurnFailure(
    "MODEL_CONTENT_FILTERED",
    `the content filter of ${provider}/${name} stopped the answer`,
    false,
  );
}

function emptyAnswer({ provider, name }: Model, { answer }: ModelStepResult): TurnFailure {
  const why =
    answer?.finishReason === "length"
      ? "it used up its tokens before the first word; raise model_parameters.max_output_tokens"
      : "send the message again";
  return new TurnFailure("MODEL_EMPTY_ANSWER", `${provider}/${name} answered with nothing: ${why}`, true);
}

function cancelledError(reason: unknown): TurnError {
  const said =
    typeof reason === "string" ? reason : reason instanceof Error && reason.name !== "AbortError" ? reason.message : "";
  return create(TurnErrorSchema, { reason: "TURN_CANCELLED", message: said === "" ? "the turn was cancelled" : said });
}

function internalError(): TurnError {
  return create(TurnErrorSchema, {
    reason: "TURN_INTERNAL",
    message: "the turn failed inside the sidecar; its log says why",
  });
}
