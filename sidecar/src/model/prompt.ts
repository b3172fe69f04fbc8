import type { SharedV4ProviderOptions } from "@ai-sdk/provider";
import type { AssistantMessage, ToolCall, ToolResult, TranscriptEntry } from "@openhermit/protocol/sessions/v1/session";
import type { PromptMessage } from "./model.ts";
import { readStepMetadata } from "./step-metadata.ts";

/** The answer given for a call whose result is not known, so that every call in a prompt has one. */
export const UNKNOWN_OUTCOME =
  "The call was interrupted. Its outcome is unknown: it may or may not have had its effect.";

type ContentOf<Role extends PromptMessage["role"]> = Extract<PromptMessage, { role: Role }>["content"];
type Result = Pick<ToolResult, "text" | "isError">;

/** The prompt of a conversation so far. Calls without a result get one that says so; results without a call are left out. */
export function promptOf(instructions: string, history: readonly TranscriptEntry[], provider: string): PromptMessage[] {
  const prompt: PromptMessage[] = instructions === "" ? [] : [{ role: "system", content: instructions }];
  let calls: readonly ToolCall[] = [];
  let results = new Map<string, Result>();
  const answerCalls = (): void => {
    if (calls.length > 0) prompt.push(toolMessage(calls, results));
    calls = [];
    results = new Map();
  };
  for (const { entry } of history) {
    switch (entry.case) {
      case "userMessage":
        answerCalls();
        prompt.push({ role: "user", content: [{ type: "text", text: entry.value.text }] });
        break;
      case "assistantMessage":
        answerCalls();
        calls = entry.value.toolCalls;
        prompt.push(...assistantMessage(entry.value, provider));
        break;
      case "toolResult":
        if (!results.has(entry.value.callId)) results.set(entry.value.callId, entry.value);
        break;
      case undefined:
        break;
    }
  }
  answerCalls();
  return prompt;
}

/** One step of the model as a message; none when it said nothing. */
export function assistantMessage(step: AssistantMessage, provider: string): PromptMessage[] {
  const content: ContentOf<"assistant"> = [];
  const parts = readStepMetadata(step.providerMetadataJson, provider);
  const calls = step.toolCalls.map(toolCallPart);
  let rest = step.text;
  for (const part of parts) {
    if (part.type === "call") {
      content.push(...calls.splice(0, 1));
    } else if (part.type === "reasoning") {
      content.push({ type: "reasoning", text: part.text, ...options(part.options) });
    } else {
      const text = rest.slice(0, part.length);
      rest = rest.slice(part.length);
      // An empty text may be there for what it carries: Gemini signs an answer on one.
      if (text !== "" || part.options !== undefined) content.push({ type: "text", text, ...options(part.options) });
    }
  }
  if (rest !== "") content.push({ type: "text", text: rest });
  content.push(...calls);
  const said = content.some((part) => part.type === "tool-call" || (part.type === "text" && part.text !== ""));
  return said ? [{ role: "assistant", content }] : [];
}

function toolCallPart(call: ToolCall): Extract<ContentOf<"assistant">[number], { type: "tool-call" }> {
  return {
    type: "tool-call",
    toolCallId: call.callId,
    toolName: call.name,
    input: parseArguments(call.argumentsJson) ?? { invalid_arguments: call.argumentsJson },
    ...options(parseObject(call.providerMetadataJson) as SharedV4ProviderOptions | undefined),
  };
}

/** The answers to the calls of one step, in the order of the calls. */
export function toolMessage(calls: readonly ToolCall[], results: ReadonlyMap<string, Result>): PromptMessage {
  return {
    role: "tool",
    content: calls.map((call) => {
      const result = results.get(call.callId) ?? { text: UNKNOWN_OUTCOME, isError: true };
      return {
        type: "tool-result",
        toolCallId: call.callId,
        toolName: call.name,
        output: { type: result.isError ? "error-text" : "text", value: result.text },
      };
    }),
  };
}

/** The arguments of a call: a JSON object, an empty text meaning none; undefined for anything else. */
export function parseArguments(json: string): Record<string, unknown> | undefined {
  return json.trim() === "" ? {} : parseObject(json);
}

function parseObject(json: string): Record<string, unknown> | undefined {
  if (json === "") return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function options(providerOptions: SharedV4ProviderOptions | undefined): { providerOptions?: SharedV4ProviderOptions } {
  return providerOptions === undefined ? {} : { providerOptions };
}
