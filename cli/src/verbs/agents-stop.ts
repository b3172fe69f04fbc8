import { steerAgents } from "../await-state.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit agents stop one two
  $ hermit agents stop one --wait     return when its turns have ended
`;

/** `hermit agents stop AGENT...`. */
export const declareAgentsStop: DeclareVerb = (agents, cli) => {
  agents
    .command("stop")
    .argument("<agent...>", "the ids of the agents")
    .description("stop agents; their turns get time to end")
    .addHelpText("before", EXAMPLES)
    .option("--wait", "return when it is done, at most a minute")
    .action(async (agentIds: string[], options: { wait?: boolean }) => {
      const { fleet } = await cli.gateway();
      await steerAgents(cli, agentIds, options.wait === true, (agentId) => fleet.stopAgent({ agentId }));
    });
};
