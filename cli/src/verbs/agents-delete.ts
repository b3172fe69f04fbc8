import { createInterface } from "node:readline/promises";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit agents delete AGENT`. */
export const declareAgentsDelete: DeclareVerb = (agents, cli) => {
  agents
    .command("delete")
    .argument("<agent>", "the agent's id")
    .description("stop an agent and forget it; asks for its name")
    .option("-y, --yes", "do not ask")
    .action(async (agentId: string, options: { yes?: boolean }) => {
      const gateway = await cli.gateway();
      const { agent } = await gateway.fleet.getAgent({ agentId });
      if (options.yes !== true) await confirm(cli, agentId);
      await gateway.fleet.deleteAgent({ agentId, etag: agent?.etag ?? "" });
      cli.terminal.say(`agent ${agentId} is deleted`);
    });
};

async function confirm(cli: Cli, agentId: string): Promise<void> {
  if (cli.stdin.isTTY !== true || !cli.terminal.isTerminal.words) {
    throw new CliError(`deleting agent ${agentId} needs a confirmation`, {
      why: "nobody can be asked here, since this is not a terminal",
      next: `bin/hermit agents delete ${agentId} --yes`,
    });
  }
  const prompt = createInterface({ input: cli.stdin, output: process.stderr });
  try {
    const question = prompt.question(`Type the agent's name to delete it (${agentId}): `);
    // Ctrl-C and Ctrl-D answer as well.
    const left = new Promise<undefined>((resolve) => {
      prompt.once("SIGINT", resolve);
      prompt.once("close", resolve);
    });
    const typed = await Promise.race([question.catch(() => undefined), left]);
    if (typed?.trim() !== agentId) {
      if (typed === undefined) cli.terminal.say("");
      throw new CliError(`agent ${agentId} is not deleted`, {
        why: typed === undefined ? undefined : `"${typed}" is not its name`,
        exitCode: ExitCode.interrupted,
      });
    }
  } finally {
    prompt.close();
  }
}
