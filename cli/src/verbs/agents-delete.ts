import { confirm } from "../ask.ts";
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
      if (options.yes !== true) {
        const withoutAsking = `bin/hermit agents delete ${agentId} --yes`;
        await confirm(cli, { target: `agent ${agentId}`, done: "deleted", name: agentId, withoutAsking });
      }
      await gateway.fleet.deleteAgent({ agentId, etag: agent?.etag ?? "" });
      cli.terminal.say(`agent ${agentId} is deleted`);
    });
};
