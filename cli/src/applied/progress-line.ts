import { plainLine } from "../output/plain-text.ts";
import type { Terminal } from "../output/terminal.ts";

/** A line of words that changes. */
export interface ProgressLine {
  /** Shows these words instead of those before. */
  show(words: string): void;
  /** Takes the line away; off a terminal what was said stays, and nothing more comes. */
  clear(): void;
}

const EVERY_MS = 1000;

/** On a terminal one line that is rewritten in place; elsewhere a line for each change, at most one a second. */
export function createProgressLine(terminal: Terminal): ProgressLine {
  const inPlace = terminal.isTerminal.words;
  let shown = "";
  // What is done within a second needs no words about how far it is.
  let saidAt = performance.now();
  let later: NodeJS.Timeout | undefined;
  const say = (): void => {
    saidAt = performance.now();
    later = undefined;
    terminal.say(shown);
  };
  return {
    show: (words) => {
      if (words === shown) return;
      shown = words;
      // The last column stays free: some terminals wrap as soon as it is written.
      const fitting = plainLine(words, terminal.width - 1);
      if (inPlace) terminal.sayInline(`\r\u001b[2K${terminal.paintWords("dim", fitting)}`);
      else later ??= setTimeout(say, Math.max(0, saidAt + EVERY_MS - performance.now()));
    },
    clear: () => {
      clearTimeout(later);
      later = undefined;
      if (inPlace && shown !== "") terminal.sayInline("\r\u001b[2K");
      shown = "";
    },
  };
}
