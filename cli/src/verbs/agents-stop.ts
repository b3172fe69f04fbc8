import { sayState } from "../await-state.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit agents stop AGENT...`. */
export const declareAgentsStop: DeclareVerb = (agents, cli) => {
  agents
    .command("stop")
    .argument("<agent...>", "the ids of the agents")
    .description("stop an agent; its turns get time to end")
    .option("--wait", "return when it is done, at most a minute")
    .action(async (agentIds: string[], options: { wait?: boolean }) => {
      const gateway = await cli.gateway();
      for (const agentId of agentIds) {
        const { agent } = await gateway.fleet.stopAgent({ agentId });
        await sayState(cli, agent, options.wait === true);
      }
    });
};
