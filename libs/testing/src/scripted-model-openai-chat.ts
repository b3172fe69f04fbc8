import { textDeltas, toolCallsOf, type ScriptedAnswer } from "./scripted-answer.ts";
import { dataEvent, finishReasonOf, usageOf, type WireError, type WireProtocol } from "./scripted-wire.ts";

/** OpenAI chat completions, streamed or whole. */
export const openAiChat: WireProtocol = {
  matches: (path) => path.endsWith("/chat/completions"),
  stream(answer, { model }) {
    const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model };
    const chunk = (delta: object, finish: string | null = null) =>
      dataEvent({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] });
    return {
      start: chunk({ role: "assistant", content: "" }),
      deltas: [
        ...(answer.reasoning === undefined ? [] : [chunk({ reasoning_content: answer.reasoning })]),
        ...textDeltas(answer).map((content) => chunk({ content })),
      ],
      end:
        functionsOf(answer)
          .map((call, index) => chunk({ tool_calls: [{ index, ...call }] }))
          .join("") +
        chunk({}, finishReasonOf(answer, "stop", "tool_calls")) +
        dataEvent({ ...head, choices: [], usage: usage(answer) }) +
        "data: [DONE]\n\n",
    };
  },
  whole(answer, { model }) {
    const calls = functionsOf(answer);
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
            ...(calls.length === 0 ? {} : { tool_calls: calls }),
          },
          finish_reason: finishReasonOf(answer, "stop", "tool_calls"),
        },
      ],
      usage: usage(answer),
    });
  },
  errorBody: openAiErrorBody,
  errorEvent: (error) => dataEvent(openAiErrorBody(error)),
};

/** An error as every API of OpenAI says it. */
export function openAiErrorBody({ message, code = "scripted_error" }: WireError): object {
  return { error: { message, type: code, param: null, code } };
}

function functionsOf(answer: ScriptedAnswer) {
  return toolCallsOf(answer).map(({ id, name, json }) => ({
    id,
    type: "function",
    function: { name, arguments: json },
  }));
}

function usage(answer: ScriptedAnswer): object {
  // OpenAI counts the cached tokens within the prompt tokens.
  const { input, output, cacheRead } = usageOf(answer);
  return {
    prompt_tokens: input + cacheRead,
    completion_tokens: output,
    total_tokens: input + cacheRead + output,
    prompt_tokens_details: { cached_tokens: cacheRead },
  };
}
