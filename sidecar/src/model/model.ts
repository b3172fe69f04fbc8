import type { LanguageModelV4FunctionTool, LanguageModelV4Message } from "@ai-sdk/provider";
import type { ModelParameters } from "@openhermit/protocol/fleet/v1/agent";
import type { ToolCall, Usage } from "@openhermit/protocol/sessions/v1/session";
import type { ModelError } from "./model-error.ts";

/** One message of a prompt, in the AI SDK's provider form. */
export type PromptMessage = LanguageModelV4Message;

/** A tool as a model sees it: name, description, JSON schema of its arguments. */
export type ModelTool = LanguageModelV4FunctionTool;

/** One call of a model. */
export interface ModelRequest {
  prompt: readonly PromptMessage[];
  tools: readonly ModelTool[];
  parameters: ModelParameters | undefined;
  /** The W3C trace context sent with the HTTP request. */
  traceparent: string;
  /** Closes the HTTP request at once. */
  signal: AbortSignal;
  /** Called once, when the first part of the answer arrives. */
  onStart: () => void;
  onText: (delta: string) => void;
  onReasoning: (delta: string) => void;
}

/** Why a model stopped, in the words of ModelCall.finish_reason. */
export type FinishReason = "stop" | "length" | "tool-calls" | "content-filter" | "error" | "other";

/** A complete answer of a model. */
export interface ModelAnswer {
  text: string;
  toolCalls: ToolCall[];
  /** See AssistantMessage.provider_metadata_json. */
  providerMetadataJson: string;
  usage: Usage;
  finishReason: FinishReason;
}

/** A model of a provider. Loads what it needs at the first call. */
export interface Model {
  /** The provider's name, for example `anthropic`. */
  readonly provider: string;
  /** The model's name at that provider. */
  readonly name: string;
  /** What is known to be wrong before any call, for example a missing key. */
  readonly problem: ModelError | undefined;
  /** Streams one answer. Rejects with a ModelError, or with the signal's reason after an abort. */
  call(request: ModelRequest): Promise<ModelAnswer>;
}
