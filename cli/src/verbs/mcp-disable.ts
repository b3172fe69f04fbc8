import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import { agentTargetOption, concernedBy } from "../catalog/agent-target.ts";
import { mcpServers } from "../catalog/catalog-item.ts";
import { changeAssignment } from "../catalog/change-assignment.ts";
import { waitForChange } from "../catalog/wait-for-change.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit mcp disable files --agent one --wait
  $ hermit mcp disable files --agent '*'      who has it by itself keeps it
`;

/** `hermit mcp disable SERVER --agent AGENT`. */
export const declareMcpDisable: DeclareVerb = (mcp, cli) => {
  const command = mcp
    .command("disable")
    .argument("<mcp-server>", "the server's id")
    .description("take an MCP server from agents")
    .addHelpText("before", EXAMPLES)
    .addOption(agentTargetOption("an agent, or '*' for every one; may be repeated").makeOptionMandatory());
  addWaitOptions(command).action(async (id: string, options: WaitOptions & { agent: string[] }) => {
    const targets = await changeAssignment(cli, mcpServers, "disable", { id, targets: options.agent });
    if (targets.length === 0) return;
    await waitForChange(cli, await cli.gateway(), { agentIds: concernedBy(targets), wait: options });
  });
};
