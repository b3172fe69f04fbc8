import { join } from "node:path";
import { Argument } from "commander";
import { repositoryRoot } from "../config.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ source <(hermit completion bash)                                  bash
  $ hermit completion zsh > "\${fpath[1]}/_hermit"                     zsh
  $ hermit completion fish > ~/.config/fish/completions/hermit.fish   fish
`;

/** `hermit completion SHELL`: prints the completion script of a shell. */
export const declareCompletion: DeclareVerb = (program) => {
  program
    .command("completion")
    .description("print the completion script for a shell")
    .addHelpText("before", EXAMPLES)
    .addArgument(new Argument("<shell>", "the shell").choices(["bash", "zsh", "fish"]))
    .action(async (shell: string) => {
      const { default: completion } = await import("@bomb.sh/tab");
      completion.setup("hermit", join(repositoryRoot, "bin/hermit"), shell);
    });
};
