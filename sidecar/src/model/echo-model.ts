import { create } from "@bufbuild/protobuf";
import { ToolCallSchema, UsageSchema, type ToolCall } from "@openhermit/protocol/sessions/v1/session";
import { sleep } from "../runner/sleep.ts";
import type { Model, ModelAnswer, ModelRequest, ModelTool, PromptMessage } from "./model.ts";
import { readEchoCommand } from "./echo-command.ts";

/** The name of the offline model. */
export const ECHO_MODEL = "echo";

/** The pause between two words, so that a person sees the answer stream. */
const WORD_PAUSE_MS = 8;
/** After so many words the rest comes at once. */
const PAUSED_WORDS = 120;
/** How much of a message is repeated. */
const QUOTE_CHARACTERS = 2000;

const HINT =
  'I am the offline model: I repeat what you say and call tools when told to, for example "use echo to say hello" ' +
  'or "use everything__get-sum with {"a": 1, "b": 2}".';

/**
 * OpenHermit's own model: answers without a network, word by word, and calls the tool it is told to call. It remembers:
 * what it answers shows that the conversation before is in its prompt.
 */
export function createEchoModel(provider: string): Model {
  return { provider, name: ECHO_MODEL, problem: undefined, call: answer };
}

async function answer(request: ModelRequest): Promise<ModelAnswer> {
  const { text, toolCalls } = reply(request.prompt, request.tools);
  const words = text.match(/\S+\s*/g) ?? [];
  request.signal.throwIfAborted();
  request.onStart();
  for (const word of words.slice(0, PAUSED_WORDS)) {
    request.onText(word);
    await sleep(WORD_PAUSE_MS, request.signal);
    request.signal.throwIfAborted();
  }
  const rest = words.slice(PAUSED_WORDS).join("");
  if (rest !== "") request.onText(rest);
  return {
    text: words.join(""),
    toolCalls,
    providerMetadataJson: "",
    usage: create(UsageSchema, {
      inputTokens: BigInt(wordsIn(request.prompt)),
      outputTokens: BigInt(words.length + toolCalls.length),
      modelCalls: 1,
    }),
    finishReason: toolCalls.length > 0 ? "tool-calls" : "stop",
  };
}

function reply(prompt: readonly PromptMessage[], tools: readonly ModelTool[]): { text: string; toolCalls: ToolCall[] } {
  const lastUser = prompt.findLastIndex(({ role }) => role === "user");
  const results = prompt.slice(lastUser + 1).flatMap(resultsOf);
  if (results.length > 0) return { text: results.join("\n"), toolCalls: [] };

  const said = prompt.flatMap((message) => (message.role === "user" ? [textOf(message)] : []));
  const message = said.at(-1) ?? "";
  const command = readEchoCommand(message, tools);
  if (command.kind === "problem") return { text: command.text, toolCalls: [] };
  if (command.kind === "call") {
    const call = create(ToolCallSchema, {
      // Unique within the turn: after its result the model answers with text.
      callId: `call_${said.length}`,
      name: command.tool,
      argumentsJson: JSON.stringify(command.arguments),
    });
    return { text: "", toolCalls: [call] };
  }
  const before = said.at(-2);
  const memory =
    before === undefined ? "" : ` Before that you said: "${quote(before, 200)}" (this is message ${said.length}).`;
  return { text: `You said: "${quote(message, QUOTE_CHARACTERS)}".${memory} ${HINT}`, toolCalls: [] };
}

function resultsOf(message: PromptMessage): string[] {
  if (message.role !== "tool") return [];
  return message.content.flatMap((part) => {
    if (part.type !== "tool-result") return [];
    const { output } = part;
    if (output.type === "error-text") return [`The tool ${part.toolName} failed: ${output.value}`];
    return output.type === "text" ? [`The tool ${part.toolName} answered: ${output.value}`] : [];
  });
}

function textOf(message: PromptMessage): string {
  if (typeof message.content === "string") return message.content;
  return message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

function wordsIn(prompt: readonly PromptMessage[]): number {
  return prompt.reduce((sum, message) => sum + (textOf(message).match(/\S+/g)?.length ?? 0), 0);
}

function quote(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters)}…`;
}
