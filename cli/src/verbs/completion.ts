import { join } from "node:path";
import { Argument } from "commander";
import { repositoryRoot } from "../config.ts";
import { completionScript, shells, type Shell } from "../completion/scripts.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ source <(hermit completion bash)           bash, in ~/.bashrc
  $ source <(hermit completion zsh)            zsh, in ~/.zshrc after compinit
  $ hermit completion fish > ~/.config/fish/completions/hermit.fish

It completes commands, flags, agents and sessions of a command named hermit:
ln -s $PWD/bin/hermit ~/.local/bin/ makes one.
`;

/** `hermit completion SHELL`: prints the completion script of a shell. */
export const declareCompletion: DeclareVerb = (program, cli) => {
  program
    .command("completion")
    .description("print the completion script for a shell")
    .addHelpText("before", EXAMPLES)
    .addArgument(new Argument("<shell>", "the shell").choices(shells))
    .action((shell: Shell) => cli.terminal.write(completionScript(shell, join(repositoryRoot, "bin/hermit"))));
};
