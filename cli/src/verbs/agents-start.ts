import { steerAgents } from "../await-state.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit agents start one two
  $ hermit agents start one --wait     return when it is online
`;

/** `hermit agents start AGENT...`. */
export const declareAgentsStart: DeclareVerb = (agents, cli) => {
  agents
    .command("start")
    .argument("<agent...>", "the ids of the agents")
    .description("start agents, also those that wait after a crash")
    .addHelpText("before", EXAMPLES)
    .option("--wait", "return when it is done, at most a minute")
    .action(async (agentIds: string[], options: { wait?: boolean }) => {
      const { fleet } = await cli.gateway();
      await steerAgents(cli, agentIds, options.wait === true, (agentId) => fleet.startAgent({ agentId }));
    });
};
