import { redactText } from "@openhermit/telemetry";

/** Why a model call failed. docs/errors.md lists them. */
export type ModelErrorReason =
  | "MODEL_KEY_MISSING"
  | "MODEL_KEY_REFUSED"
  | "MODEL_NOT_FOUND"
  | "MODEL_RATE_LIMITED"
  | "MODEL_QUOTA_EXHAUSTED"
  | "MODEL_UNAVAILABLE"
  | "MODEL_REQUEST_REFUSED"
  | "MODEL_ANSWER_INVALID"
  | "MODEL_ANSWER_TOO_LARGE";

/** A failed model call, with a sentence for a person. */
export class ModelError extends Error {
  override readonly name = "ModelError";
  readonly reason: ModelErrorReason;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** How long the provider asks to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    reason: ModelErrorReason,
    message: string,
    details: { retryable?: boolean; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.retryable = details.retryable ?? false;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Whom a failed call was for. */
export interface CallTarget {
  provider: string;
  model: string;
  baseUrl: string;
  /** Empty when no key is sent. */
  apiKeyEnv: string;
}

interface ApiFailure {
  message: string;
  statusCode?: number;
  responseHeaders?: Record<string, string>;
  responseBody?: string;
  /** The provider's own word, of an error within a stream. */
  code?: string | number;
  cause?: unknown;
}

/** What the AI SDK threw or streamed as an error, as a ModelError. */
export function modelErrorOf(thrown: unknown, target: CallTarget): ModelError {
  if (thrown instanceof ModelError) return thrown;
  const failure = failureOf(thrown);
  const { provider, model } = target;
  const status = failure.statusCode;
  const said = sentence(failure.message);
  const body = failure.responseBody ?? "";
  const error = (reason: ModelErrorReason, message: string, retryable = false): ModelError =>
    new ModelError(reason, message, { retryable, retryAfterMs: retryAfterMs(failure), cause: thrown });

  // Gemini calls a key it does not know an invalid argument.
  const keyInvalid = status === 400 && /API_KEY_INVALID|API key not valid/.test(body);
  if (status === 401 || status === 403 || keyInvalid) {
    const key =
      target.apiKeyEnv === "" ? "the request, which carries no API key" : `the API key in ${target.apiKeyEnv}`;
    return error("MODEL_KEY_REFUSED", `${provider} refused ${key} (${status}): ${said} Set a valid key and restart.`);
  }
  if (status === 404) {
    return error(
      "MODEL_NOT_FOUND",
      `${provider} does not know the model "${model}" (404): ${said} Check the agent's model, and the kind and base URL of the provider.`,
    );
  }
  const quota = failure.code === "insufficient_quota" || /insufficient_quota/.test(body);
  if (status === 402 || (status === 429 && quota)) {
    return error("MODEL_QUOTA_EXHAUSTED", `the account at ${provider} has no credit left (${status}): ${said}`);
  }
  if (status === 429) {
    return error("MODEL_RATE_LIMITED", `${provider} limits the rate of calls (429): ${said} Try again later.`, true);
  }
  if (status !== undefined && (status >= 500 || status === 408 || status === 409 || status === 425)) {
    return error("MODEL_UNAVAILABLE", `${provider} failed (${status}): ${said} Try again later.`, true);
  }
  if (status !== undefined && status >= 300) {
    return error("MODEL_REQUEST_REFUSED", `${provider} refused the request (${status}): ${said}`);
  }
  if (isFormatError(thrown) || isFormatError(failure.cause)) {
    return error("MODEL_ANSWER_INVALID", `${provider} sent an answer that is not understood: ${said}`, true);
  }
  if (status === undefined && isNetworkError(thrown)) {
    return error(
      "MODEL_UNAVAILABLE",
      `${provider} can't be reached at ${target.baseUrl}: ${said} Try again later.`,
      true,
    );
  }
  // The connection ended within the answer, or the stream holds an error, for example Anthropic's overloaded_error.
  return error("MODEL_UNAVAILABLE", `${provider} broke off its answer: ${said} Try again later.`, true);
}

function failureOf(thrown: unknown): ApiFailure {
  if (typeof thrown === "string") return { message: thrown };
  if (typeof thrown !== "object" || thrown === null) return { message: String(thrown) };
  const failure = thrown as Partial<ApiFailure>;
  const nested = (thrown as { error?: unknown }).error;
  if (failure.message === undefined && nested !== undefined) return failureOf(nested);
  return { ...failure, message: messageOf(thrown) };
}

function messageOf(thrown: object): string {
  const { message, statusCode, responseBody, cause } = thrown as Partial<ApiFailure>;
  const text = message === undefined || message === "" ? (responseBody ?? JSON.stringify(thrown)) : message;
  // undici says "fetch failed" and keeps what happened in the causes.
  if (statusCode === undefined && cause instanceof Error && cause.message !== "" && !text.includes(cause.message)) {
    return `${text}: ${cause.message}`;
  }
  if (text === "" && cause instanceof AggregateError) return cause.errors.map((one) => String(one)).join("; ");
  return text;
}

function sentence(text: string): string {
  const clean = redactText(text).replace(/\s+/g, " ").trim().slice(0, 600);
  return /[.!?]$/.test(clean) ? clean : `${clean}.`;
}

function errorName(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : "";
}

function isFormatError(thrown: unknown): boolean {
  return /TypeValidation|JSONParse|InvalidResponse|EmptyResponseBody|NoContentGenerated/.test(errorName(thrown));
}

function isNetworkError(thrown: unknown): boolean {
  return errorName(thrown).includes("APICall") || errorName(thrown) === "TypeError";
}

function retryAfterMs({ responseHeaders: headers, responseBody }: ApiFailure): number | undefined {
  const precise = Number(headers?.["retry-after-ms"]);
  if (headers?.["retry-after-ms"] !== undefined && Number.isFinite(precise)) return Math.max(0, precise);
  const header = headers?.["retry-after"];
  if (header === undefined) {
    // google.rpc.RetryInfo, which Gemini sends instead of a header.
    const delay = /"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"/.exec(responseBody ?? "")?.[1];
    return delay === undefined ? undefined : Number(delay) * 1000;
  }
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
