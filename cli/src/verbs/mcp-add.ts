import { clone } from "@bufbuild/protobuf";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import { agentTargetOption, concernedBy } from "../catalog/agent-target.ts";
import { printChange } from "../catalog/catalog-change.ts";
import { mcpServerRows } from "../catalog/mcp-server-view.ts";
import { serverFromFlags, type ServerFlags } from "../catalog/server-from-flags.ts";
import { waitForChange } from "../catalog/wait-for-change.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import type { DeclareVerb } from "../declare-verb.ts";
import { errorDetail } from "../error-report.ts";
import type { Gateway } from "../gateway-client.ts";
import { listed } from "../listed.ts";
import { withRetries } from "../settings/setting-changes.ts";

const EXAMPLES = `Examples:
  $ hermit mcp add files --agent '*' -- npx -y \\
      @modelcontextprotocol/server-filesystem /srv/files
  $ hermit mcp add search https://mcp.example.com/mcp --agent one --agent two \\
      --secret-header "Authorization=Bearer SEARCH_TOKEN"
  $ hermit mcp add github --secret-env GITHUB_TOKEN --agent one -- github-mcp

A secret is named and never given: SEARCH_TOKEN is a variable of the gateway's
environment that its OPENHERMIT_MCP_SECRETS lists; of a sidecar that runs
elsewhere, one of that sidecar's.
A server that is there already is replaced and keeps its agents, unless --agent
says otherwise. A name for a command is looked up in the sidecar's PATH.
`;

interface AddOptions extends ServerFlags, WaitOptions {
  agent?: string[];
}

/** `hermit mcp add SERVER -- COMMAND...`, `hermit mcp add SERVER URL`. */
export const declareMcpAdd: DeclareVerb = (mcp, cli) => {
  const text = listed((word: string) => word);
  const command = mcp
    .command("add")
    .argument("<new-id>", "lower-case letters, digits, dashes; its tools are named\nID__TOOL")
    .argument("[command...]", "a program and its arguments after --, or a URL")
    .description("add an MCP server, or replace one")
    .addHelpText("before", EXAMPLES)
    .showHelpAfterError("options of the server's own command stand after --; run it with --help to see more")
    .addOption(agentTargetOption("who uses it; '*' is every agent; may be repeated"))
    .option("--env <name=value>", "a variable of the program; may be repeated", text)
    .option("--secret-env <name[=secret]>", "one whose value is a secret; may be repeated", text)
    .option("--header <name=value>", "a header of the requests; may be repeated", text)
    .option("--secret-header <name=secret>", "one whose value is a secret; may be repeated", text);
  addWaitOptions(command).action(async (id: string, words: string[], options: AddOptions) => {
    checkUrlFlag(cli, id, words);
    const wanted = serverFromFlags(id, words, options);
    const ours = words.filter((word) => command.options.some(({ long }) => long === word));
    if (ours.length > 0) cli.terminal.say(`note: ${ours.join(", ")} stands after -- and is handed to ${words[0]}`);
    const gateway = await cli.gateway();
    const { before, after } = await withRetries(() => put(gateway, wanted, options.agent));
    const rows = before && mcpServerRows(before);
    printChange(cli.terminal, { noun: "MCP server", id, before: rows, after: mcpServerRows(after) });
    if (after.agents.length === 0) {
      cli.terminal.say(`No agent uses it yet: bin/hermit mcp enable ${id} --agent '*'`);
      return;
    }
    const agentIds = concernedBy(after.agents);
    await waitForChange(cli, gateway, { agentIds, wait: options, mcpServerIds: [id] });
  });
};

/** Stores the server, with what the flags do not speak of as it was. */
async function put(
  { catalog }: Gateway,
  wanted: McpServer,
  agents: readonly string[] | undefined,
): Promise<{ before: McpServer | undefined; after: McpServer }> {
  const before = await catalog.getMcpServer({ mcpServerId: wanted.id }).then(
    ({ mcpServer }) => mcpServer,
    (error: unknown) => {
      if (errorDetail(error)?.reason === "MCP_SERVER_NOT_FOUND") return undefined;
      throw error;
    },
  );
  const server = clone(McpServerSchema, before ?? wanted);
  server.transport = wanted.transport;
  if (agents !== undefined) {
    server.agents = [...new Set(agents)];
    server.disabledAgents = server.disabledAgents.filter((agent) => !agents.includes(agent));
  }
  const { mcpServer: after = server } = await catalog.putMcpServer({ mcpServer: server });
  return { before, after };
}

/** --url names the gateway, in front of every verb; who means the server's would send a token there. */
function checkUrlFlag(cli: Cli, id: string, words: readonly string[]): void {
  if (words.length > 0 || cli.config.url === undefined) return;
  throw new CliError("there is neither a command nor a URL", {
    why: "--url names the gateway; the URL of an MCP server stands after its id",
    next: `bin/hermit mcp add ${id} ${cli.config.url}`,
  });
}
