import { textDeltas, toolCallsOf, SCRIPTED_SIGNATURE } from "./scripted-answer.ts";
import { finishReasonOf, typedEvent, usageOf, type WireError, type WireProtocol } from "./scripted-wire.ts";

/** Anthropic messages, streamed. */
export const anthropicMessages: WireProtocol = {
  matches: (path) => path.endsWith("/messages"),
  stream(answer, { model }) {
    const usage = usageOf(answer);
    const deltas: string[] = [];
    let index = 0;
    if (answer.reasoning !== undefined) {
      deltas.push(
        typedEvent("content_block_start", { index, content_block: { type: "thinking", thinking: "", signature: "" } }) +
          typedEvent("content_block_delta", { index, delta: { type: "thinking_delta", thinking: answer.reasoning } }) +
          typedEvent("content_block_delta", {
            index,
            delta: { type: "signature_delta", signature: SCRIPTED_SIGNATURE },
          }) +
          typedEvent("content_block_stop", { index }),
      );
      index += 1;
    }
    const texts = textDeltas(answer);
    texts.forEach((text, i) => {
      const open = typedEvent("content_block_start", { index, content_block: { type: "text", text: "" } });
      deltas.push(
        (i === 0 ? open : "") + typedEvent("content_block_delta", { index, delta: { type: "text_delta", text } }),
      );
    });
    let end = "";
    if (texts.length > 0) {
      end += typedEvent("content_block_stop", { index });
      index += 1;
    }
    for (const { id, name, json } of toolCallsOf(answer)) {
      end +=
        typedEvent("content_block_start", { index, content_block: { type: "tool_use", id, name, input: {} } }) +
        typedEvent("content_block_delta", { index, delta: { type: "input_json_delta", partial_json: json } }) +
        typedEvent("content_block_stop", { index });
      index += 1;
    }
    end +=
      typedEvent("message_delta", {
        delta: { stop_reason: finishReasonOf(answer, "end_turn", "tool_use"), stop_sequence: null },
        usage: { output_tokens: usage.output },
      }) + typedEvent("message_stop", {});
    return {
      start: typedEvent("message_start", {
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
  },
  errorBody: (error) => ({ type: "error", ...errorOf(error) }),
  errorEvent: (error) => typedEvent("error", errorOf(error)),
};

function errorOf({ message, code = "scripted_error" }: WireError): object {
  return { error: { type: code, message } };
}
