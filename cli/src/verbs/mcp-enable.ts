import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import { agentTargetOption, concernedBy } from "../catalog/agent-target.ts";
import { mcpServers } from "../catalog/catalog-item.ts";
import { changeAssignment } from "../catalog/change-assignment.ts";
import { waitForChange } from "../catalog/wait-for-change.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit mcp enable files --agent '*' --wait     every agent, also future ones
  $ hermit mcp enable files --agent one --agent two
`;

/** `hermit mcp enable SERVER --agent AGENT`. */
export const declareMcpEnable: DeclareVerb = (mcp, cli) => {
  const command = mcp
    .command("enable")
    .argument("<mcp-server>", "the server's id")
    .description("give an MCP server to agents")
    .addHelpText("before", EXAMPLES)
    .addOption(agentTargetOption("an agent, or '*' for every one; may be repeated").makeOptionMandatory());
  addWaitOptions(command).action(async (id: string, options: WaitOptions & { agent: string[] }) => {
    const targets = await changeAssignment(cli, mcpServers, "enable", { id, targets: options.agent });
    if (targets.length === 0) return;
    await waitForChange(cli, await cli.gateway(), {
      agentIds: concernedBy(targets),
      mcpServerIds: [id],
      wait: options,
    });
  });
};
