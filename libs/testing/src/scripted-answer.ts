/** What signs scripted reasoning: Anthropic's signature, Gemini's thought signature, OpenAI's encrypted content. */
export const SCRIPTED_SIGNATURE = "scripted-signature";

/** What the scripted model answers to one request. Without any field it answers "ok". */
export interface ScriptedAnswer {
  /** The text. Default "ok", or none when there are tool calls. */
  text?: string;
  /** Into how many deltas the text is cut. Default: one a word. */
  deltas?: number;
  /** Reasoning before the text, one delta. */
  reasoning?: string;
  /** The tools to call. `arguments` given as a string is sent as it is, valid JSON or not. */
  toolCalls?: readonly { id?: string; name: string; arguments: Record<string, unknown> | string }[];
  /** Milliseconds before the response headers. Default 0. */
  delayMs?: number;
  /** Milliseconds between two deltas. Default 0: all in one write. */
  deltaDelayMs?: number;
  /** Never answers: before the headers, or after so many deltas. */
  hang?: "headers" | { afterDeltas: number };
  /** Closes the connection without an end, after so many deltas. */
  cut?: { afterDeltas: number };
  /** Ends the stream with an error event, after so many deltas. `code` is the protocol's own word, `status` what it stands for. */
  fail?: { afterDeltas: number; message: string; status: number; code?: string };
  /** An error status instead of an answer; `text` is its message. */
  status?: number;
  /** What the body of an error status holds besides: the protocol's own word for it, and Gemini's details. */
  error?: { code?: string; details?: readonly object[] };
  /** More response headers, for example retry-after. */
  headers?: Record<string, string>;
  /** Why it stopped, in the words of the protocol asked in. Default: by the content. */
  finishReason?: string;
  /** The tokens it says it used, no part of the input in another. Default: 10 in, 5 out. */
  usage?: {
    input?: number;
    /** With the reasoning. */
    output?: number;
    reasoning?: number;
    cacheRead?: number;
    cacheWrite?: number;
  };
}

/** The deltas of the text. */
export function textDeltas(answer: ScriptedAnswer): string[] {
  const text = answer.text ?? (answer.toolCalls === undefined ? "ok" : "");
  if (text === "") return [];
  if (answer.deltas === undefined) return text.match(/\S+\s*|\s+/g) ?? [text];
  const size = Math.max(1, Math.ceil(text.length / answer.deltas));
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
}

/** A tool call with its arguments as text and an id. */
export function toolCallsOf(answer: ScriptedAnswer): { id: string; name: string; json: string }[] {
  return (answer.toolCalls ?? []).map((call, i) => ({
    id: call.id ?? `call_${i + 1}`,
    name: call.name,
    json: typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments),
  }));
}
