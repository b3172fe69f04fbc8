import type { Writable } from "node:stream";
import { styleText } from "node:util";

type Stream = Writable & { isTTY?: boolean; columns?: number };
type Format = Parameters<typeof styleText>[0];

/** Where words and data go. Data on stdout, words on stderr. */
export interface Terminal {
  /** Writes data to stdout, as it is. */
  write(data: string | Uint8Array): void;
  /** Writes a line of data to stdout. */
  line(data: string): void;
  /** Writes a line for a person to stderr. */
  say(words: string): void;
  /** Writes words to stderr without a line end. */
  sayInline(words: string): void;
  /** Text in a style, when stdout shows colour. */
  paint(format: Format, text: string): string;
  /** Text in a style, when stderr shows colour. */
  paintWords(format: Format, text: string): string;
  /** Whether a person reads stdout, and stderr. */
  readonly isTerminal: { out: boolean; words: boolean };
  /** The width of stdout in columns; 80 when it is no terminal. */
  readonly width: number;
}

/** When to show colour. `auto`: on a terminal. */
export type ColorMode = "auto" | "always" | "never";

/** A terminal over two streams. `noColor` (NO_COLOR) turns `auto` off and leaves `always` as it is. */
export function createTerminal(options: {
  stdout: Stream;
  stderr: Stream;
  color: ColorMode;
  noColor: boolean;
}): Terminal {
  const { stdout, stderr, color, noColor } = options;
  const colored = (stream: Stream): boolean =>
    color === "always" || (color === "auto" && !noColor && stream.isTTY === true);
  const painter = (stream: Stream) => (format: Format, text: string) =>
    colored(stream) ? styleText(format, text, { validateStream: false }) : text;
  return {
    write: (data) => void stdout.write(data),
    line: (data) => void stdout.write(`${data}\n`),
    say: (words) => void stderr.write(`${words}\n`),
    sayInline: (words) => void stderr.write(words),
    paint: painter(stdout),
    paintWords: painter(stderr),
    isTerminal: { out: stdout.isTTY === true, words: stderr.isTTY === true },
    get width() {
      return stdout.isTTY === true ? (stdout.columns ?? 80) : 80;
    },
  };
}
