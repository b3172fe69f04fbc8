import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ScriptedAnswer } from "./scripted-answer.ts";
import { anthropicMessages } from "./scripted-model-anthropic.ts";
import { gemini, geminiModelOf } from "./scripted-model-gemini.ts";
import { openAiChat } from "./scripted-model-openai-chat.ts";
import { openAiResponses } from "./scripted-model-openai-responses.ts";
import type { WireAnswer, WireProtocol } from "./scripted-wire.ts";

const PROTOCOLS = {
  openai: openAiChat,
  "openai-responses": openAiResponses,
  anthropic: anthropicMessages,
  gemini,
} as const satisfies Record<string, WireProtocol>;

/** `openai` for /chat/completions, `openai-responses` for /responses, `anthropic` for /messages, `gemini` for :streamGenerateContent. */
export type ScriptedProtocol = keyof typeof PROTOCOLS;

/** One request that reached the scripted model. */
export interface ScriptedRequest {
  readonly protocol: ScriptedProtocol;
  /** The path with its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The parsed body. */
  readonly body: ScriptedRequestBody;
  /** Milliseconds of performance.now() when the request was complete. */
  readonly receivedAt: number;
  /** `open` while it is answered; `client-closed` when the client went away first. */
  readonly state: "open" | "answered" | "client-closed";
  /** Milliseconds of performance.now() when the state changed. */
  readonly endedAt: number | undefined;
}

/** What a body may hold. */
export interface ScriptedRequestBody {
  /** For Gemini, whose bodies have none, the one of the path. */
  model: string;
  stream?: boolean;
  system?: unknown;
  /** Chat completions and Anthropic; empty for the others, whose conversations are `input` and `contents`. */
  messages: {
    role: string;
    content: unknown;
    tool_calls?: unknown;
    tool_call_id?: string;
    reasoning_content?: string;
  }[];
  tools?: unknown[];
  [name: string]: unknown;
}

/** An answer, or how to find it. */
export type Script = ScriptedAnswer | ((request: ScriptedRequest) => ScriptedAnswer);

/** A model server that answers as it is told. */
export interface ScriptedModel {
  /** The base URL for all protocols, `http://127.0.0.1:<port>/v1`. */
  readonly baseUrl: string;
  /** Every request, oldest first. Empty when the log is off. */
  readonly requests: readonly ScriptedRequest[];
  /** The next requests get these answers, in order. */
  enqueue(...answers: Script[]): void;
  /** What is answered when nothing is enqueued. */
  always(answer: Script): void;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** How the scripted model starts. */
export interface ScriptedModelOptions {
  /** Default 0, a free port. */
  port?: number;
  /** What is answered when nothing is enqueued. Default "ok". */
  always?: Script;
  /** False keeps no requests, for load. Default true. */
  log?: boolean;
}

type Logged = { -readonly [Field in keyof ScriptedRequest]: ScriptedRequest[Field] };

/**
 * Starts a real HTTP server on loopback that speaks OpenAI chat completions (streaming or not), OpenAI responses,
 * Anthropic messages and Gemini (streaming), and answers as scripted.
 */
export async function startScriptedModel(options: ScriptedModelOptions = {}): Promise<ScriptedModel> {
  const { port = 0, log = true } = options;
  let fallback: Script = options.always ?? {};
  const queue: Script[] = [];
  const requests: Logged[] = [];

  const server = createServer((request, response) => {
    const url = request.url ?? "/";
    const path = url.split("?", 1)[0] as string;
    const protocol = protocolOf(path);
    if (request.method !== "POST" || protocol === undefined) {
      response.writeHead(404, { "content-type": "application/json" }).end('{"error":{"message":"no such path"}}');
      return;
    }
    readBody(request, (text) => {
      const logged: Logged = {
        protocol,
        path: url,
        headers: request.headers,
        body: { model: geminiModelOf(path) ?? "", messages: [], ...(JSON.parse(text) as Partial<ScriptedRequestBody>) },
        receivedAt: performance.now(),
        state: "open",
        endedAt: undefined,
      };
      if (log) requests.push(logged);
      response.on("close", () => {
        logged.state = response.writableFinished ? "answered" : "client-closed";
        logged.endedAt = performance.now();
      });
      const script = queue.shift() ?? fallback;
      answerWith(response, logged, typeof script === "function" ? script(logged) : script);
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    enqueue: (...answers) => void queue.push(...answers),
    always: (answer) => void (fallback = answer),
    close: () => closeServer(server),
  };
}

function readBody(request: IncomingMessage, done: (text: string) => void): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => done((chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString("utf8")));
}

function protocolOf(path: string): ScriptedProtocol | undefined {
  return (Object.keys(PROTOCOLS) as ScriptedProtocol[]).find((name) => PROTOCOLS[name].matches(path));
}

function answerWith(response: ServerResponse, request: ScriptedRequest, answer: ScriptedAnswer): void {
  if (answer.delayMs !== undefined && answer.delayMs > 0) {
    const { delayMs, ...rest } = answer;
    later(response, delayMs, () => answerWith(response, request, rest));
    return;
  }
  if (answer.hang === "headers") return;
  const protocol: WireProtocol = PROTOCOLS[request.protocol];
  const json = { "content-type": "application/json", ...answer.headers };
  const { status } = answer;
  const { body } = request;
  if (status !== undefined) {
    const error = { status, message: answer.text ?? `scripted status ${status}`, code: undefined, details: undefined };
    response.writeHead(status, json).end(JSON.stringify(protocol.errorBody({ ...error, ...answer.error })));
    return;
  }
  if (body.stream !== true && protocol.whole !== undefined) {
    response.writeHead(200, json).end(protocol.whole(answer, body));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache", ...answer.headers });
  const wire = protocol.stream(answer, body);
  const { fail } = answer;
  if (fail === undefined) stream(response, wire, answer);
  else {
    const end = protocol.errorEvent({ code: undefined, details: undefined, ...fail });
    stream(response, { ...wire, deltas: wire.deltas.slice(0, fail.afterDeltas), end }, answer);
  }
}

function stream(response: ServerResponse, { start, deltas, end }: WireAnswer, answer: ScriptedAnswer): void {
  response.flushHeaders();
  const pauseMs = answer.deltaDelayMs ?? 0;
  const hangAfter = typeof answer.hang === "object" ? answer.hang.afterDeltas : Infinity;
  const cutAfter = answer.cut?.afterDeltas ?? Infinity;
  const last = Math.min(deltas.length, hangAfter, cutAfter);
  const finish = (): void => {
    if (cutAfter !== Infinity) setImmediate(() => response.destroy());
    else if (hangAfter === Infinity) response.end(end);
  };
  if (pauseMs === 0) {
    response.write(start + deltas.slice(0, last).join(""));
    finish();
    return;
  }
  response.write(start);
  const next = (i: number): void => {
    if (i >= last) return finish();
    response.write(deltas[i]);
    later(response, pauseMs, () => next(i + 1));
  };
  next(0);
}

function later(response: ServerResponse, delayMs: number, work: () => void): void {
  setTimeout(() => {
    if (!response.destroyed) work();
  }, delayMs).unref();
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
