import { textDeltas, toolCallsOf, SCRIPTED_SIGNATURE, type ScriptedAnswer } from "./scripted-answer.ts";
import { openAiErrorBody } from "./scripted-model-openai-chat.ts";
import { typedEvent, usageOf, type WireProtocol, type WireRequest } from "./scripted-wire.ts";

/** Writes the events of one answer, numbered. */
type Write = (type: string, data: object) => string;

/**
 * OpenAI responses, streamed. Reasoning comes with its encrypted content only when the request asks for it, as at
 * OpenAI. A finish reason is the reason of a response that is incomplete, for example `max_output_tokens`.
 */
export const openAiResponses: WireProtocol = {
  matches: (path) => path.endsWith("/responses"),
  stream(answer, request) {
    let number = 0;
    const write: Write = (type, data) => typedEvent(type, { sequence_number: number++, ...data });
    const response = { id: "resp_1", object: "response", created_at: 1, model: request.model };
    const start =
      write("response.created", { response: { ...response, status: "in_progress" } }) +
      write("response.in_progress", { response: { ...response, status: "in_progress" } });

    const reasoning = answer.reasoning === undefined ? [] : [reasoningItem(write, answer.reasoning, request)];
    const message = messageItem(write, reasoning.length, textDeltas(answer));
    let end = message.end;
    toolCallsOf(answer).forEach((call, i) => {
      end += callItem(write, reasoning.length + (message.deltas.length > 0 ? 1 : 0) + i, call);
    });
    const reason = answer.finishReason;
    const status = reason === undefined ? "completed" : "incomplete";
    end += write(`response.${status}`, {
      response: {
        ...response,
        status,
        incomplete_details: reason === undefined ? null : { reason },
        usage: usage(answer),
      },
    });
    return { start, deltas: [...reasoning, ...message.deltas], end };
  },
  errorBody: openAiErrorBody,
  errorEvent: ({ message, code = "server_error" }) =>
    typedEvent("response.failed", {
      sequence_number: 1000,
      response: { id: "resp_1", object: "response", status: "failed", error: { code, message } },
    }),
};

function reasoningItem(write: Write, text: string, { include }: WireRequest): string {
  const encrypted = Array.isArray(include) && include.includes("reasoning.encrypted_content");
  const at = { item_id: "rs_1", output_index: 0, summary_index: 0 };
  const item = { id: "rs_1", type: "reasoning", summary: [] };
  const part = { type: "summary_text", text };
  return (
    write("response.output_item.added", { output_index: 0, item }) +
    write("response.reasoning_summary_part.added", { ...at, part: { ...part, text: "" } }) +
    write("response.reasoning_summary_text.delta", { ...at, delta: text }) +
    write("response.reasoning_summary_text.done", { ...at, text }) +
    write("response.reasoning_summary_part.done", { ...at, part }) +
    write("response.output_item.done", {
      output_index: 0,
      item: { ...item, summary: [part], ...(encrypted ? { encrypted_content: SCRIPTED_SIGNATURE } : {}) },
    })
  );
}

function messageItem(write: Write, index: number, texts: readonly string[]): { deltas: string[]; end: string } {
  if (texts.length === 0) return { deltas: [], end: "" };
  const at = { item_id: "msg_1", output_index: index, content_index: 0 };
  const item = { id: "msg_1", type: "message", role: "assistant", content: [] as object[] };
  const part = (text: string) => ({ type: "output_text", text, annotations: [] });
  const text = texts.join("");
  const deltas = texts.map((delta, i) => {
    const open =
      i > 0
        ? ""
        : write("response.output_item.added", { output_index: index, item: { ...item, status: "in_progress" } }) +
          write("response.content_part.added", { ...at, part: part("") });
    return open + write("response.output_text.delta", { ...at, delta });
  });
  const end =
    write("response.output_text.done", { ...at, text }) +
    write("response.content_part.done", { ...at, part: part(text) }) +
    write("response.output_item.done", {
      output_index: index,
      item: { ...item, status: "completed", content: [part(text)] },
    });
  return { deltas, end };
}

function callItem(write: Write, index: number, { id, name, json }: { id: string; name: string; json: string }): string {
  const itemId = `fc_${id}`;
  const item = { id: itemId, type: "function_call", call_id: id, name };
  return (
    write("response.output_item.added", {
      output_index: index,
      item: { ...item, arguments: "", status: "in_progress" },
    }) +
    write("response.function_call_arguments.delta", { item_id: itemId, output_index: index, delta: json }) +
    write("response.function_call_arguments.done", { item_id: itemId, output_index: index, arguments: json }) +
    write("response.output_item.done", {
      output_index: index,
      item: { ...item, arguments: json, status: "completed" },
    })
  );
}

function usage(answer: ScriptedAnswer): object {
  // What was read from and written to the cache is within the input tokens, reasoning within the output tokens.
  const { input, output, reasoning, cacheRead, cacheWrite } = usageOf(answer);
  const all = input + cacheRead + cacheWrite;
  return {
    input_tokens: all,
    input_tokens_details: {
      cached_tokens: cacheRead,
      ...(cacheWrite === 0 ? {} : { cache_write_tokens: cacheWrite }),
    },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: all + output,
  };
}
