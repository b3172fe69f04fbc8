import { steerAgents } from "../await-state.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit agents restart one two
  $ hermit agents restart one --wait     return when it is online again
`;

/** `hermit agents restart AGENT...`. */
export const declareAgentsRestart: DeclareVerb = (agents, cli) => {
  agents
    .command("restart")
    .argument("<agent...>", "the ids of the agents")
    .description("stop an agent's sidecar and start a new one")
    .addHelpText("before", EXAMPLES)
    .option("--wait", "return when it is done, at most a minute")
    .action(async (agentIds: string[], options: { wait?: boolean }) => {
      const { fleet } = await cli.gateway();
      await steerAgents(cli, agentIds, options.wait === true, (agentId) => fleet.restartAgent({ agentId }));
    });
};
