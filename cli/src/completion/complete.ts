import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { plainLine } from "../output/plain-text.ts";
import { candidatesOf } from "./candidates.ts";

/**
 * Adds the hidden command that the scripts of `hermit completion` call at each Tab: `complete -- WORD... WORD`, the last
 * word being the one that is typed. It prints a candidate a line, with a tab and its description, or `:files`.
 */
export function declareComplete(program: Command, cli: Cli): void {
  const tree = [...program.commands];
  program
    .command("complete", { hidden: true })
    .argument("[words...]")
    .helpOption(false)
    .action(async (words: string[]) => {
      for (const { value, description } of await candidatesOf({ program, commands: tree, cli, words })) {
        cli.terminal.line(description === "" ? value : `${value}\t${plainLine(description, 100)}`);
      }
    });
}
