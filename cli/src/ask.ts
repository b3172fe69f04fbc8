import { Writable } from "node:stream";
import { createInterface } from "node:readline/promises";
import type { Cli } from "./cli.ts";
import { CliError } from "./cli-error.ts";
import { ExitCode } from "./exit-code.ts";

/** What a person is asked before something is done that can't be undone. */
export interface Confirmation {
  /** What will happen, as in "agent one is not ...": `deleted`. */
  done: string;
  /** What it happens to, `agent one`. */
  target: string;
  /** What the person types: the name of the target; undefined: yes. */
  name?: string;
  /** The command that does it without asking. */
  withoutAsking: string;
}

/** Asks on a terminal, and throws CliError unless the person agrees; also where nobody can be asked. */
export async function confirm(cli: Cli, { done, target, name, withoutAsking }: Confirmation): Promise<void> {
  if (!canAsk(cli)) {
    throw new CliError(`${target} is not ${done} without a confirmation`, {
      why: "nobody can be asked here, since this is not a terminal",
      next: withoutAsking,
    });
  }
  const question = name === undefined ? "Type yes to go on: " : `Type its name to go on (${name}): `;
  const typed = await ask(cli, question);
  const wanted = name ?? "yes";
  if (typed?.trim() === wanted) return;
  throw new CliError(`${target} is not ${done}`, {
    why: typed === undefined ? undefined : `"${typed}" is not ${name === undefined ? "yes" : "its name"}`,
    exitCode: ExitCode.interrupted,
  });
}

/** Whether a person sits there who can be asked. */
export const canAsk = ({ stdin, terminal }: Cli): boolean => stdin.isTTY === true && terminal.isTerminal.words;

/** Asks for a line; undefined when the person leaves with Ctrl-C or Ctrl-D, or the signal comes. */
export async function ask(
  cli: Cli,
  question: string,
  options: { hidden?: boolean; signal?: AbortSignal } = {},
): Promise<string | undefined> {
  const { hidden = false, signal } = options;
  const terminal = cli.stdin.isTTY === true;
  // What is typed is echoed by readline itself; a hidden line is echoed to nobody.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const output = hidden || !terminal ? nowhere : process.stderr;
  const prompt = createInterface({ input: cli.stdin, output, terminal });
  if (output === nowhere && terminal) cli.terminal.sayInline(question);
  try {
    const answer = prompt.question(output === nowhere ? "" : question, signal ? { signal } : {});
    // Ctrl-C and Ctrl-D answer as well.
    const left = new Promise<undefined>((resolve) => {
      prompt.once("SIGINT", resolve);
      prompt.once("close", resolve);
    });
    const typed = await Promise.race([answer.catch(() => undefined), left]);
    if (terminal && (hidden || typed === undefined)) cli.terminal.say("");
    return typed;
  } finally {
    prompt.close();
  }
}
