import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import { mcpServerRows } from "../catalog/mcp-server-view.ts";
import { outputOption, printMessage, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit mcp get files
  $ hermit mcp get files -o yaml
`;

/** `hermit mcp get SERVER`. */
export const declareMcpGet: DeclareVerb = (mcp, cli) => {
  mcp
    .command("get")
    .argument("<mcp-server>", "the server's id")
    .description("show one MCP server")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action(async (mcpServerId: string, options: { output: OutputFormat }) => {
      const { catalog } = await cli.gateway();
      const { mcpServer } = await catalog.getMcpServer({ mcpServerId });
      if (!mcpServer) return;
      await printMessage(cli.terminal, options.output, {
        schema: McpServerSchema,
        message: mcpServer,
        rows: mcpServerRows(mcpServer),
        name: mcpServer.id,
      });
    });
};
