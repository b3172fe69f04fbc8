import { create } from "@bufbuild/protobuf";
import { ModelCallSchema, type ModelCall } from "@openhermit/protocol/activity/v1/event";
import type { ModelParameters } from "@openhermit/protocol/fleet/v1/agent";
import { UsageSchema } from "@openhermit/protocol/sessions/v1/session";
import { createBackoff } from "@openhermit/reconcile";
import { formatTraceparent, GEN_AI, type Telemetry, type TraceContext } from "@openhermit/telemetry";
import { elapsedDuration } from "../elapsed-duration.ts";
import type { Model, ModelAnswer, ModelTool, PromptMessage } from "../model/model.ts";
import { ModelError } from "../model/model-error.ts";
import { sleep } from "./sleep.ts";

const MAX_ATTEMPTS = 3;
/** A provider that asks for a longer wait is not waited for. */
const MAX_WAIT_MS = 15_000;
/** After so long no further attempt is started. */
const MAX_ELAPSED_MS = 60_000;

/** One step's call of the model. */
export interface ModelStepOptions {
  model: Model;
  /** From 1, within the turn. */
  step: number;
  prompt: readonly PromptMessage[];
  tools: readonly ModelTool[];
  parameters: ModelParameters | undefined;
  telemetry: Telemetry;
  parent: TraceContext;
  signal: AbortSignal;
  onText: (delta: string) => void;
  onReasoning: (delta: string) => void;
  /** Called for an attempt that failed before its first token and is repeated. */
  onRetry: (call: ModelCall) => void;
}

/** How a step's last attempt went; `answer` is undefined when it failed or was aborted. */
export interface ModelStepResult {
  answer: ModelAnswer | undefined;
  error: unknown;
  /** What was shown, also of an answer that broke off. */
  text: string;
  call: ModelCall;
}

/**
 * Calls the model. What fails before its first token and may succeed later is tried again, at most three times in all;
 * after the first token never, since a person has seen it. Never rejects for what the model does.
 */
export async function callModel(options: ModelStepOptions): Promise<ModelStepResult> {
  const backoff = createBackoff({ initialMs: 500, maxMs: 4000 });
  const began = performance.now();
  for (;;) {
    const result = await attempt(options);
    const waitMs = retryWaitMs(result, backoff.attempts + 1);
    if (waitMs === undefined || options.signal.aborted) return result;
    const delayMs = Math.max(waitMs, backoff.next());
    if (delayMs > MAX_WAIT_MS || performance.now() - began + delayMs > MAX_ELAPSED_MS) return result;
    await sleep(delayMs, options.signal);
    if (options.signal.aborted) return result;
    options.onRetry(result.call);
  }
}

function retryWaitMs({ error, call }: ModelStepResult, attempts: number): number | undefined {
  const repeats = error instanceof ModelError && error.retryable && call.timeToFirstToken === undefined;
  return repeats && attempts < MAX_ATTEMPTS ? (error.retryAfterMs ?? 0) : undefined;
}

async function attempt(options: ModelStepOptions): Promise<ModelStepResult> {
  const { model, telemetry, parent } = options;
  const attributes = {
    [GEN_AI.operationName]: "chat",
    [GEN_AI.providerName]: model.provider,
    [GEN_AI.requestModel]: model.name,
  };
  const began = performance.now();
  let firstAt: number | undefined;
  let text = "";
  const call = create(ModelCallSchema, { provider: model.provider, model: model.name, step: options.step });
  try {
    const answer = await telemetry.span(`chat ${model.name}`, { parent, kind: "client", attributes }, async (span) => {
      const answered = await model.call({
        prompt: options.prompt,
        tools: options.tools,
        parameters: options.parameters,
        traceparent: formatTraceparent(span),
        signal: options.signal,
        onStart: () => (firstAt ??= performance.now()),
        onText(delta) {
          text += delta;
          options.onText(delta);
        },
        onReasoning: options.onReasoning,
      });
      span.setAttribute(GEN_AI.finishReasons, [answered.finishReason]);
      span.setAttribute(GEN_AI.inputTokens, Number(answered.usage.inputTokens));
      span.setAttribute(GEN_AI.outputTokens, Number(answered.usage.outputTokens));
      return answered;
    });
    call.usage = answer.usage;
    call.finishReason = answer.finishReason;
    return { answer, error: undefined, text, call };
  } catch (error) {
    call.usage = create(UsageSchema, { modelCalls: 1 });
    call.finishReason = "error";
    call.error = options.signal.aborted
      ? "stopped before its end"
      : error instanceof Error
        ? error.message
        : String(error);
    return { answer: undefined, error, text, call };
  } finally {
    call.duration = elapsedDuration(performance.now() - began);
    if (firstAt !== undefined) call.timeToFirstToken = elapsedDuration(firstAt - began);
  }
}
