/**
 * Attribute names of the OpenTelemetry semantic conventions for generative AI. They are still in
 * development there, so they stand in this one file and nowhere else.
 */
export const GEN_AI = {
  /** `chat`, `execute_tool` or `invoke_agent`. */
  operationName: "gen_ai.operation.name",
  /** The provider, for example `anthropic`. */
  providerName: "gen_ai.provider.name",
  /** The model asked for. */
  requestModel: "gen_ai.request.model",
  /** Why the model stopped. */
  finishReasons: "gen_ai.response.finish_reasons",
  /** Tokens read. */
  inputTokens: "gen_ai.usage.input_tokens",
  /** Tokens written. */
  outputTokens: "gen_ai.usage.output_tokens",
  /** The session. */
  conversationId: "gen_ai.conversation.id",
  /** The agent. */
  agentId: "gen_ai.agent.id",
  /** The tool, as the model knows it. */
  toolName: "gen_ai.tool.name",
  /** The id of the tool call. */
  toolCallId: "gen_ai.tool.call.id",
} as const;
