import { textDeltas, toolCallsOf, SCRIPTED_SIGNATURE, type ScriptedAnswer } from "./scripted-answer.ts";
import { dataEvent, usageOf, type WireError, type WireProtocol } from "./scripted-wire.ts";

const PATH = /^\/v1\/(?:models\/)?(.+):streamGenerateContent$/;

/**
 * Gemini's streamGenerateContent. As Gemini 3 does, an answer that was reasoned about is signed: on its first function
 * call, or without one on an empty text at its end.
 */
export const gemini: WireProtocol = {
  matches: (path) => PATH.test(path),
  stream(answer, { model }) {
    const chunk = (parts: object[], more: object = {}) =>
      dataEvent({
        candidates: [{ index: 0, content: { role: "model", parts }, ...more }],
        usageMetadata: usage(answer),
        modelVersion: model,
        responseId: "response-1",
      });
    const signed = answer.reasoning === undefined ? {} : { thoughtSignature: SCRIPTED_SIGNATURE };
    const calls = toolCallsOf(answer).map(({ id, name, json }, i) => ({
      functionCall: { id, name, args: argumentsOf(json) },
      ...(i === 0 ? signed : {}),
    }));
    const last = calls.length === 0 && answer.reasoning !== undefined ? [{ text: "", ...signed }] : [];
    return {
      start: "",
      deltas: [
        ...(answer.reasoning === undefined ? [] : [chunk([{ text: answer.reasoning, thought: true }])]),
        ...textDeltas(answer).map((text) => chunk([{ text }])),
      ],
      end: chunk([...calls, ...last], { finishReason: answer.finishReason ?? "STOP" }),
    };
  },
  errorBody,
  errorEvent: (error) => dataEvent(errorBody(error)),
};

/** The model that is named in the path of a request. */
export function geminiModelOf(path: string): string | undefined {
  return PATH.exec(path)?.[1];
}

const STATUS: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE",
};

function errorBody({ status, message, code, details }: WireError): object {
  return {
    error: {
      code: status,
      message,
      status: code ?? STATUS[status] ?? "UNKNOWN",
      ...(details === undefined ? {} : { details }),
    },
  };
}

/** Gemini sends arguments as an object; what is none is sent as it is. */
function argumentsOf(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}

function usage(answer: ScriptedAnswer): object {
  // What was cached is within the prompt; thoughts are beside the candidates.
  const { input, output, reasoning, cacheRead } = usageOf(answer);
  return {
    promptTokenCount: input + cacheRead,
    cachedContentTokenCount: cacheRead,
    candidatesTokenCount: output - reasoning,
    thoughtsTokenCount: reasoning,
    totalTokenCount: input + cacheRead + output,
  };
}
