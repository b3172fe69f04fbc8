import type { Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import type { Log } from "@openhermit/telemetry";
import { strikeNothing, type StrikeOut } from "./secret-values.ts";

/** More than so much a second and the child waits until the next second. */
const BYTES_A_SECOND = 4 * 1024 * 1024;
const LINES_A_WINDOW = 20;
const WINDOW_MS = 10_000;
const LINE_CHARACTERS = 500;

/** What is left of a child's stderr. */
export interface StderrDrain {
  /** The last line that was not empty. */
  lastLine(): string;
}

/**
 * Reads a child's stderr to its end, so that the child never waits for its reader, and keeps next to nothing of it: the
 * first lines of every ten seconds go to the log, the number of the others too. Secrets are struck out before anything is cut.
 */
export function drainStderr(stderr: Readable, log: Log, strikeOut: StrikeOut): StderrDrain {
  let partial = "";
  let last = "";
  let windowStart = -Infinity;
  let lines = 0;
  let dropped = 0;
  let secondStart = 0;
  let bytes = 0;

  const take = (text: string): void => {
    const line = printable(text);
    if (line === "") return;
    last = line;
    const now = performance.now();
    if (now - windowStart > WINDOW_MS) {
      if (dropped > 0) log.warn({ lines: dropped }, "mcp server wrote more to stderr than is logged");
      windowStart = now;
      lines = 0;
      dropped = 0;
    }
    if (lines >= LINES_A_WINDOW) {
      dropped += 1;
      return;
    }
    lines += 1;
    log.info({ line }, "mcp server wrote to stderr");
  };

  stderr.on("data", (chunk: Buffer) => {
    const now = performance.now();
    if (now - secondStart > 1000) {
      secondStart = now;
      bytes = 0;
    }
    bytes += chunk.length;
    if (bytes > BYTES_A_SECOND) {
      stderr.pause();
      setTimeout(() => stderr.resume(), 1000).unref();
    }
    // Of a flood only the end of each chunk is looked at; all of it where a secret could be cut in two.
    const from = strikeOut === strikeNothing ? Math.max(0, chunk.length - 4096) : 0;
    const text = strikeOut(partial + chunk.toString("utf8", from));
    const found = text.split("\n");
    partial = (found.pop() ?? "").slice(-LINE_CHARACTERS);
    for (const line of found) take(line);
  });
  stderr.on("error", () => undefined);
  stderr.on("end", () => take(partial));
  return { lastLine: () => printable(partial) || last };
}

/** One line without control characters and terminal sequences, cut to 500 characters. */
export function printable(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .slice(0, LINE_CHARACTERS);
}
