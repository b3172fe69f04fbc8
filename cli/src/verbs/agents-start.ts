import { sayState } from "../await-state.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit agents start AGENT...`. */
export const declareAgentsStart: DeclareVerb = (agents, cli) => {
  agents
    .command("start")
    .argument("<agent...>", "the ids of the agents")
    .description("start an agent, also one that waits after a crash")
    .option("--wait", "return when it is done, at most a minute")
    .action(async (agentIds: string[], options: { wait?: boolean }) => {
      const gateway = await cli.gateway();
      for (const agentId of agentIds) {
        const { agent } = await gateway.fleet.startAgent({ agentId });
        await sayState(cli, agent, options.wait === true);
      }
    });
};
