import type { Terminal } from "../output/terminal.ts";
import { millisecondsText } from "../output/time-text.ts";

/** Says how far a start or stop is. */
export interface Progress {
  /** A step has begun. */
  begin(step: string): void;
  /** A step is done; shown with --verbose, so that one sees where the time goes. */
  done(step: string, ms: number): void;
  /** A line that stays. */
  say(words: string): void;
  /** Takes away the line of the running step. */
  clear(): void;
}

/** On a terminal the running step is one line that is replaced; elsewhere, and with `verbose`, each step is a line. */
export function createProgress(terminal: Terminal, verbose: boolean): Progress {
  const transient = terminal.isTerminal.words && !verbose;
  let shown = false;
  let last = "";
  const clear = (): void => {
    if (shown) terminal.sayInline("\r\u001b[2K");
    shown = false;
  };
  return {
    begin: (step) => {
      if (step === last) return;
      last = step;
      clear();
      if (transient) terminal.sayInline(terminal.paintWords("dim", `${step} ...`));
      else terminal.say(`${step} ...`);
      shown = transient;
    },
    done: (step, ms) => {
      if (!verbose) return;
      terminal.say(`  ${millisecondsText(ms).padStart(8)}  ${step}`);
    },
    say: (words) => {
      clear();
      terminal.say(words);
    },
    clear,
  };
}
