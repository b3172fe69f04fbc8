import { textDeltas, toolCallsOf, type ScriptedAnswer } from "./scripted-answer.ts";

/** An answer as the bytes of one protocol. */
export interface WireAnswer {
  /** Sent at once with the headers. */
  start: string;
  /** One a delta. */
  deltas: string[];
  /** Sent after the last delta. */
  end: string;
}

const event = (type: string, data: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
const usageOf = ({ usage = {} }: ScriptedAnswer) => ({
  input: usage.input ?? 10,
  output: usage.output ?? 5,
  cacheRead: usage.cacheRead ?? 0,
  cacheWrite: usage.cacheWrite ?? 0,
});

/** The server-sent events of a chat completion as OpenAI streams it. */
export function openAiStream(answer: ScriptedAnswer, model: string): WireAnswer {
  const head = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":${JSON.stringify(model)},"choices":[{"index":0,"delta":`;
  const chunk = (delta: unknown, finish: string | null = null) =>
    `data: ${head}${JSON.stringify(delta)},"finish_reason":${JSON.stringify(finish)}}]}\n\n`;
  const calls = toolCallsOf(answer);
  const usage = openAiUsage(answer);
  return {
    start: chunk({ role: "assistant", content: "" }),
    deltas: [
      ...(answer.reasoning === undefined ? [] : [chunk({ reasoning_content: answer.reasoning })]),
      ...textDeltas(answer).map((content) => chunk({ content })),
    ],
    end:
      calls
        .map((call, index) =>
          chunk({
            tool_calls: [{ index, id: call.id, type: "function", function: { name: call.name, arguments: call.json } }],
          }),
        )
        .join("") +
      chunk({}, finishReason(answer, "stop", "tool_calls")) +
      `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":${JSON.stringify(model)},"choices":[],"usage":${JSON.stringify(usage)}}\n\n` +
      "data: [DONE]\n\n",
  };
}

/** A whole chat completion as OpenAI answers without streaming. */
export function openAiWhole(answer: ScriptedAnswer, model: string): string {
  const calls = toolCallsOf(answer);
  return JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: textDeltas(answer).join(""),
          ...(calls.length === 0
            ? {}
            : {
                tool_calls: calls.map(({ id, name, json }) => ({
                  id,
                  type: "function",
                  function: { name, arguments: json },
                })),
              }),
        },
        finish_reason: finishReason(answer, "stop", "tool_calls"),
      },
    ],
    usage: openAiUsage(answer),
  });
}

/** The server-sent events of a message as Anthropic streams it. */
export function anthropicStream(answer: ScriptedAnswer, model: string): WireAnswer {
  const usage = usageOf(answer);
  const calls = toolCallsOf(answer);
  const deltas: string[] = [];
  let index = 0;
  if (answer.reasoning !== undefined) {
    deltas.push(
      event("content_block_start", { index, content_block: { type: "thinking", thinking: "", signature: "" } }) +
        event("content_block_delta", { index, delta: { type: "thinking_delta", thinking: answer.reasoning } }) +
        event("content_block_delta", { index, delta: { type: "signature_delta", signature: "scripted-signature" } }) +
        event("content_block_stop", { index }),
    );
    index += 1;
  }
  const texts = textDeltas(answer);
  texts.forEach((text, i) => {
    const start = i === 0 ? event("content_block_start", { index, content_block: { type: "text", text: "" } }) : "";
    deltas.push(start + event("content_block_delta", { index, delta: { type: "text_delta", text } }));
  });
  let end = "";
  if (texts.length > 0) {
    end += event("content_block_stop", { index });
    index += 1;
  }
  for (const call of calls) {
    end +=
      event("content_block_start", {
        index,
        content_block: { type: "tool_use", id: call.id, name: call.name, input: {} },
      }) +
      event("content_block_delta", { index, delta: { type: "input_json_delta", partial_json: call.json } }) +
      event("content_block_stop", { index });
    index += 1;
  }
  end +=
    event("message_delta", {
      delta: { stop_reason: finishReason(answer, "end_turn", "tool_use"), stop_sequence: null },
      usage: { output_tokens: usage.output },
    }) + event("message_stop", {});
  return {
    start: event("message_start", {
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: usage.input,
          cache_read_input_tokens: usage.cacheRead,
          cache_creation_input_tokens: usage.cacheWrite,
          output_tokens: 1,
        },
      },
    }),
    deltas,
    end,
  };
}

function openAiUsage(answer: ScriptedAnswer): object {
  // OpenAI counts the cached tokens within the prompt tokens.
  const { input, output, cacheRead } = usageOf(answer);
  return {
    prompt_tokens: input + cacheRead,
    completion_tokens: output,
    total_tokens: input + cacheRead + output,
    prompt_tokens_details: { cached_tokens: cacheRead },
  };
}

function finishReason(answer: ScriptedAnswer, stop: string, tools: string): string {
  return answer.finishReason ?? ((answer.toolCalls?.length ?? 0) > 0 ? tools : stop);
}
