import { confirm } from "../ask.ts";
import { usersText } from "../catalog/agent-target.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit mcp remove files
  $ hermit mcp disable files --agent '*'      keeps it for later
`;

/** `hermit mcp remove SERVER`. */
export const declareMcpRemove: DeclareVerb = (mcp, cli) => {
  mcp
    .command("remove")
    .alias("rm")
    .argument("<mcp-server>", "the server's id")
    .description("remove an MCP server; asks for its name")
    .addHelpText("before", EXAMPLES)
    .option("-y, --yes", "do not ask")
    .action(async (mcpServerId: string, options: { yes?: boolean }) => {
      const { catalog } = await cli.gateway();
      if (options.yes !== true) {
        const { mcpServer } = await catalog.getMcpServer({ mcpServerId });
        if (!mcpServer) return;
        cli.terminal.say(
          `MCP server ${mcpServerId} is used by ${usersText(mcpServer)}; its tools go with the next turn.`,
        );
        await confirm(cli, {
          target: `MCP server ${mcpServerId}`,
          done: "removed",
          name: mcpServerId,
          withoutAsking: `bin/hermit mcp remove ${mcpServerId} --yes`,
        });
      }
      await catalog.deleteMcpServer({ mcpServerId });
      cli.terminal.say(`MCP server ${mcpServerId} is removed`);
    });
};
