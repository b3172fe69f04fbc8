import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { listAllMcpServers } from "../catalog/catalog-lists.ts";
import { mcpServerColumns } from "../catalog/mcp-server-view.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit mcp list
  $ hermit mcp list -o name
`;

/** `hermit mcp list`. */
export const declareMcpList: DeclareVerb = (mcp, cli) => {
  mcp
    .command("list")
    .alias("ls")
    .description("list all MCP servers, and who uses them")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      await printMessages(cli.terminal, options.output, {
        schema: McpServerSchema,
        messages: await listAllMcpServers(await cli.gateway()),
        columns: mcpServerColumns(cli.terminal),
        name: ({ id }) => id,
        none: "No MCP servers yet. Add one: bin/hermit mcp add ID --agent '*' -- COMMAND ARGS...",
      });
    });
};
