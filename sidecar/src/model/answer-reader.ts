import { create } from "@bufbuild/protobuf";
import type {
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata,
} from "@ai-sdk/provider";
import { ToolCallSchema, UsageSchema, type ToolCall, type Usage } from "@openhermit/protocol/sessions/v1/session";
import type { FinishReason, ModelAnswer, ModelRequest } from "./model.ts";
import { ModelError } from "./model-error.ts";
import { writeStepMetadata, type StepPart } from "./step-metadata.ts";

/** The most characters of one answer, all its parts together: what a step's transcript entry can carry. */
const MAX_ANSWER_CHARACTERS = 640 * 1024;

/** Takes the parts of a stream, one after the other, and makes the answer of them. */
export interface AnswerReader {
  /** Takes a part. Throws what the stream reports as an error, and a ModelError when the answer grows too large. */
  take(part: LanguageModelV4StreamPart): void;
  /** The answer; throws a ModelError when the stream ended without its end. */
  answer(): ModelAnswer;
}

type ContentPart = Exclude<StepPart, { type: "call" }>;

interface OpenPart {
  part: ContentPart;
  metadata: SharedV4ProviderMetadata | undefined;
}

/** Reads one answer; deltas are passed on as they come. */
export function createAnswerReader(
  provider: string,
  { onStart, onText, onReasoning }: Pick<ModelRequest, "onStart" | "onText" | "onReasoning">,
): AnswerReader {
  const parts: StepPart[] = [];
  const open = new Map<string, OpenPart>();
  const toolCalls: ToolCall[] = [];
  let text = "";
  let size = 0;
  let started = false;
  let end: { usage: LanguageModelV4Usage; finishReason: LanguageModelV4FinishReason } | undefined;

  const grow = (more: string): void => {
    if (!started) {
      started = true;
      onStart();
    }
    size += more.length;
    if (size > MAX_ANSWER_CHARACTERS) {
      throw new ModelError(
        "MODEL_ANSWER_TOO_LARGE",
        `the answer of ${provider} is longer than ${MAX_ANSWER_CHARACTERS} characters and was broken off`,
      );
    }
  };
  const openPart = (key: string, part: ContentPart, metadata: SharedV4ProviderMetadata | undefined): OpenPart => {
    const existing = open.get(key);
    if (existing !== undefined) {
      existing.metadata = merge(existing.metadata, metadata);
      return existing;
    }
    const opened = { part, metadata };
    open.set(key, opened);
    parts.push(part);
    return opened;
  };
  const closePart = (key: string, metadata: SharedV4ProviderMetadata | undefined): void => {
    const opened = open.get(key);
    if (opened === undefined) return;
    open.delete(key);
    opened.part.options = merge(opened.metadata, metadata);
  };
  const closeAll = (): void => {
    for (const key of open.keys()) closePart(key, undefined);
  };

  return {
    take(part) {
      switch (part.type) {
        case "text-start":
          openPart(`t${part.id}`, { type: "text", length: 0 }, part.providerMetadata);
          break;
        case "text-delta": {
          const { part: into } = openPart(`t${part.id}`, { type: "text", length: 0 }, part.providerMetadata);
          if (part.delta === "") break;
          grow(part.delta);
          if (into.type === "text") into.length += part.delta.length;
          text += part.delta;
          onText(part.delta);
          break;
        }
        case "text-end":
          closePart(`t${part.id}`, part.providerMetadata);
          break;
        case "reasoning-start":
          openPart(`r${part.id}`, { type: "reasoning", text: "" }, part.providerMetadata);
          break;
        case "reasoning-delta": {
          const { part: into } = openPart(`r${part.id}`, { type: "reasoning", text: "" }, part.providerMetadata);
          if (part.delta === "") break;
          grow(part.delta);
          if (into.type === "reasoning") into.text += part.delta;
          onReasoning(part.delta);
          break;
        }
        case "reasoning-end":
          closePart(`r${part.id}`, part.providerMetadata);
          break;
        case "tool-input-start":
          grow("");
          break;
        case "tool-input-delta":
          grow(part.delta);
          break;
        case "tool-call":
          // What the provider ran itself needs no answer of ours.
          if (part.providerExecuted === true) break;
          grow(part.input);
          parts.push({ type: "call" });
          toolCalls.push(
            create(ToolCallSchema, {
              callId: part.toolCallId,
              name: part.toolName,
              argumentsJson: part.input,
              providerMetadataJson: part.providerMetadata === undefined ? "" : JSON.stringify(part.providerMetadata),
            }),
          );
          break;
        case "finish":
          end = part;
          break;
        case "error":
          throw part.error;
        case "tool-input-end":
        case "stream-start":
        case "response-metadata":
        case "tool-approval-request":
        case "tool-result":
        case "custom":
        case "file":
        case "reasoning-file":
        case "source":
        case "ping":
        case "raw":
          break;
      }
    },
    answer() {
      closeAll();
      if (end === undefined || end.finishReason.unified === "interrupted") {
        throw new ModelError("MODEL_UNAVAILABLE", `${provider} broke off its answer. Try again later.`, {
          retryable: true,
        });
      }
      // Gemini says so of a function call that it could not write, OpenAI of a response that failed without a word.
      if (end.finishReason.unified === "error" && toolCalls.length === 0) {
        const why = end.finishReason.raw === undefined ? "" : ` (${end.finishReason.raw})`;
        throw new ModelError(
          "MODEL_ANSWER_INVALID",
          `${provider} failed to complete its answer${why}. Send the message again.`,
          { retryable: true },
        );
      }
      return {
        text,
        toolCalls,
        providerMetadataJson: writeStepMetadata(parts, provider),
        usage: usageOf(end.usage),
        finishReason: finishReasonOf(end.finishReason.unified),
      };
    },
  };
}

function finishReasonOf(unified: Exclude<LanguageModelV4FinishReason["unified"], "interrupted">): FinishReason {
  return unified;
}

/** The four counts are disjoint: what was read from or written to a cache is not counted as input again. */
function usageOf({ inputTokens, outputTokens }: LanguageModelV4Usage): Usage {
  const cacheRead = count(inputTokens.cacheRead);
  const cacheWrite = count(inputTokens.cacheWrite);
  const input = inputTokens.noCache ?? Math.max(0, count(inputTokens.total) - cacheRead - cacheWrite);
  const output = outputTokens.total ?? count(outputTokens.text) + count(outputTokens.reasoning);
  return create(UsageSchema, {
    inputTokens: BigInt(count(input)),
    outputTokens: BigInt(count(output)),
    cacheReadTokens: BigInt(cacheRead),
    cacheWriteTokens: BigInt(cacheWrite),
    modelCalls: 1,
  });
}

function count(tokens: number | undefined): number {
  return tokens !== undefined && Number.isFinite(tokens) && tokens > 0 ? Math.round(tokens) : 0;
}

function merge(
  before: SharedV4ProviderMetadata | undefined,
  more: SharedV4ProviderMetadata | undefined,
): SharedV4ProviderMetadata | undefined {
  if (before === undefined || more === undefined) return more ?? before;
  const merged = { ...before };
  for (const [provider, values] of Object.entries(more)) merged[provider] = { ...merged[provider], ...values };
  return merged;
}
