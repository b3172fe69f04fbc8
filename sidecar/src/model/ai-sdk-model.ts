import type { LanguageModelV4, LanguageModelV4CallOptions, SharedV4ProviderOptions } from "@ai-sdk/provider";
import { createAnswerReader } from "./answer-reader.ts";
import type { Model, ModelAnswer, ModelRequest } from "./model.ts";
import { modelErrorOf, type CallTarget, type ModelError } from "./model-error.ts";

/** What a model on the AI SDK needs. */
export interface AiSdkModelOptions {
  target: CallTarget;
  problem: ModelError | undefined;
  /** Loads the provider; called once, at the first call. */
  load: () => Promise<LanguageModelV4>;
  /** What every call passes to the provider. */
  providerOptions: SharedV4ProviderOptions | undefined;
}

/** A model that a provider package of the AI SDK speaks with. Only the provider level of the SDK is used. */
export function createAiSdkModel({ target, problem, load, providerOptions }: AiSdkModelOptions): Model {
  let loading: Promise<LanguageModelV4> | undefined;
  return {
    provider: target.provider,
    name: target.model,
    problem,
    async call(request) {
      if (problem !== undefined) throw problem;
      try {
        loading ??= load();
        return await stream(await loading, request, target.provider, providerOptions);
      } catch (error) {
        request.signal.throwIfAborted();
        throw modelErrorOf(error, target);
      }
    },
  };
}

async function stream(
  model: LanguageModelV4,
  request: ModelRequest,
  provider: string,
  providerOptions: SharedV4ProviderOptions | undefined,
): Promise<ModelAnswer> {
  const reader = createAnswerReader(provider, request);
  const result = await model.doStream(callOptions(request, providerOptions));
  const parts = result.stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await parts.read();
      if (done) {
        ended = true;
        break;
      }
      reader.take(value);
    }
  } finally {
    // A stream that is given up on closes its HTTP request.
    if (!ended) parts.cancel().catch(() => undefined);
  }
  return reader.answer();
}

function callOptions(
  { prompt, tools, parameters, traceparent, signal }: ModelRequest,
  providerOptions: SharedV4ProviderOptions | undefined,
): LanguageModelV4CallOptions {
  return {
    prompt: [...prompt],
    abortSignal: signal,
    headers: { traceparent },
    ...(tools.length === 0 ? {} : { tools: [...tools], toolChoice: { type: "auto" } }),
    ...(parameters?.temperature === undefined ? {} : { temperature: parameters.temperature }),
    ...(parameters?.topP === undefined ? {} : { topP: parameters.topP }),
    ...(parameters?.maxOutputTokens === undefined ? {} : { maxOutputTokens: parameters.maxOutputTokens }),
    ...(providerOptions === undefined ? {} : { providerOptions }),
  };
}
