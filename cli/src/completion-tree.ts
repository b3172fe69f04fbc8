import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";

/** Adds the hidden command `complete`, which the scripts of `hermit completion` ask at each Tab. */
export function addCompletion(program: Command): void {
  // The library would name its own script printer `complete` as well; ours is `completion`.
  tab(program, { completionCommandName: "completion-script" });
  const own = program.commands.find((command) => command.name() === "completion-script");
  if (own) (program.commands as Command[]).splice(program.commands.indexOf(own), 1);
}
