import type { ScriptedAnswer } from "./scripted-answer.ts";

/** An answer as the bytes of one protocol. */
export interface WireAnswer {
  /** Sent at once with the headers. */
  start: string;
  /** One a delta. */
  deltas: string[];
  /** Sent after the last delta. */
  end: string;
}

/** An error as its protocol says it, as the body of an error status or as an event of a stream. */
export interface WireError {
  /** The HTTP status, or the one an event stands for. */
  status: number;
  message: string;
  /** The protocol's own word for it. Undefined for the one that belongs to the status, or a general one. */
  code: string | undefined;
  /** Gemini's `details`. */
  details: readonly object[] | undefined;
}

/** One protocol of a model provider. */
export interface WireProtocol {
  /** Whether a request of this path, without its query, is of this protocol. */
  matches(path: string): boolean;
  /** The server-sent events of an answer. */
  stream(answer: ScriptedAnswer, request: WireRequest): WireAnswer;
  /** The body of an answer that is not streamed. Undefined when only streams are spoken. */
  whole?(answer: ScriptedAnswer, request: WireRequest): string;
  /** The body of an error status. */
  errorBody(error: WireError): object;
  /** The event that ends a stream with an error. */
  errorEvent(error: WireError): string;
}

/** What of a request shapes its answer. */
export interface WireRequest {
  model: string;
  /** Responses: what is to be added to the answer. */
  include?: unknown;
}

/** The tokens an answer says it used; the parts of the input are disjoint, `reasoning` is part of `output`. */
export function usageOf({ usage = {} }: ScriptedAnswer) {
  return {
    input: usage.input ?? 10,
    output: usage.output ?? 5,
    reasoning: usage.reasoning ?? 0,
    cacheRead: usage.cacheRead ?? 0,
    cacheWrite: usage.cacheWrite ?? 0,
  };
}

/** A server-sent event without a name. */
export function dataEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** A server-sent event whose data names its type once more. */
export function typedEvent(type: string, data: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

/** The finish reason that is scripted, or the one of the content. */
export function finishReasonOf(answer: ScriptedAnswer, stop: string, tools: string): string {
  return answer.finishReason ?? ((answer.toolCalls?.length ?? 0) > 0 ? tools : stop);
}
