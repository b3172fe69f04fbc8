import { sayState } from "../await-state.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit agents restart AGENT...`. */
export const declareAgentsRestart: DeclareVerb = (agents, cli) => {
  agents
    .command("restart")
    .argument("<agent...>", "the ids of the agents")
    .description("stop an agent's sidecar and start a new one")
    .option("--wait", "return when it is done, at most a minute")
    .action(async (agentIds: string[], options: { wait?: boolean }) => {
      const gateway = await cli.gateway();
      for (const agentId of agentIds) {
        const { agent } = await gateway.fleet.restartAgent({ agentId });
        await sayState(cli, agent, options.wait === true);
      }
    });
};
