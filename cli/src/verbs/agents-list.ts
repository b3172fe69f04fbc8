import { AgentSchema } from "@openhermit/protocol/fleet/v1/agent";
import { agentColumns, listAllAgents } from "../agent-view.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit agents list`. */
export const declareAgentsList: DeclareVerb = (agents, cli) => {
  agents
    .command("list")
    .alias("ls")
    .description("list all agents with their state")
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      const gateway = await cli.gateway();
      await printMessages(cli.terminal, options.output, {
        schema: AgentSchema,
        messages: await listAllAgents(gateway),
        columns: agentColumns(cli.terminal),
        name: (agent) => agent.id,
        none: "No agents yet. Add some: bin/hermit apply -f examples/fleet/agents.yaml",
      });
    });
};
