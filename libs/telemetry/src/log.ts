import { writeSync } from "node:fs";

import { pino, type DestinationStream, type Logger } from "pino";

/** The logger: a constant lower-case message and snake_case fields, `log.info({ agent_id }, "sidecar attached")`; an error is `err`. */
export type Log = Logger;

/** How a log is written. */
export interface LogOptions {
  /** The process that writes, for example `gateway`. */
  service: string;
  /** The lowest level that is written: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`. Default `info`. */
  level?: string;
  /** The file descriptor written to. Default 1, standard output. */
  destination?: number;
  /** One readable line instead of JSON. */
  pretty?: boolean;
}

const SECRET_FIELDS = [
  "token",
  "access_token",
  "accessToken",
  "join_token",
  "joinToken",
  "operator_token",
  "operatorToken",
  "authorization",
  "Authorization",
  "cookie",
  "Cookie",
  '["set-cookie"]',
  '["x-api-key"]',
  "password",
  "secret",
  "api_key",
  "apiKey",
  "private_key",
  "privateKey",
];

// What looks like a credential is cut wherever it stands, also inside the text of an error.
const SECRET_SHAPES =
  /\bohm_[0-9A-Za-z]{8,}|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+|\b[Bb]earer [\w.~+/=-]{8,}|\bsk-[\w-]{16,}|\bAIza[\w-]{30,}|(?<=:\/\/[^\s:@/"]{0,200}:)[^\s@/"]+(?=@)/g;

/** The text with everything cut that looks like a credential. */
export function redactText(text: string): string {
  return text.replace(SECRET_SHAPES, "[redacted]");
}

/** Creates the log of a process. Credentials are cut: by the name of their field and by their shape. */
export function createLog(options: LogOptions): Log {
  const fd = options.destination ?? 1;
  const paths = SECRET_FIELDS.flatMap((field) =>
    field.startsWith("[") ? [field, `*${field}`, `*.*${field}`] : [field, `*.${field}`, `*.*.${field}`],
  );
  const destination: DestinationStream = {
    write: (line) => writeLine(fd, options.pretty ? prettyLine(line) : line),
  };
  return pino(
    {
      level: options.level ?? "info",
      base: { service: options.service, pid: process.pid },
      messageKey: "message",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.errWithCause, error: pino.stdSerializers.errWithCause },
      redact: { paths, censor: "[redacted]" },
      hooks: { streamWrite: redactText },
    },
    destination,
  );
}

const META = new Set(["level", "time", "service", "pid", "message"]);

function prettyLine(line: string): string {
  const record = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(record)
    .filter(([key]) => !META.has(key))
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const time = String(record["time"]).slice(11, 23);
  return (
    [
      time,
      String(record["level"]).toUpperCase().padEnd(5),
      typeof record["message"] === "string" ? record["message"] : "",
      ...fields,
    ].join(" ") + "\n"
  );
}

/** How often a pipe that is full is tried, and the pause between in milliseconds. */
const FULL_PIPE_TRIES = 100;
const FULL_PIPE_PAUSE_MS = 10;

/**
 * Writes the line, or loses it: a full disk, a reader that is gone or one that hangs must not stop the process. pino's
 * own destination keeps what it could not write and, after a `fatal`, tries for ever.
 */
function writeLine(fd: number, line: string): void {
  const bytes = Buffer.from(line);
  let written = 0;
  for (let tries = 0; written < bytes.length && tries < FULL_PIPE_TRIES; tries += 1) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_PAUSE_MS);
    }
  }
}
