import type { DeclareVerb } from "../declare-verb.ts";
import { declareMcpAdd } from "./mcp-add.ts";
import { declareMcpDisable } from "./mcp-disable.ts";
import { declareMcpEnable } from "./mcp-enable.ts";
import { declareMcpGet } from "./mcp-get.ts";
import { declareMcpImport } from "./mcp-import.ts";
import { declareMcpList } from "./mcp-list.ts";
import { declareMcpRemove } from "./mcp-remove.ts";
import { declareMcpStatus } from "./mcp-status.ts";

const EXAMPLES = `Examples:
  $ hermit mcp add search https://mcp.example.com/mcp --agent one
  $ hermit mcp add files --agent one -- node files-server.js /srv/files
  $ hermit mcp import .mcp.json
  $ hermit mcp enable files --agent '*' --wait
  $ hermit mcp disable files --agent two
  $ hermit mcp status files

'*' is every agent, also every future one. A change reaches the next turn of
every agent that it concerns, without a restart.
`;

/** `hermit mcp`: MCP servers, and which agents use them. */
export const declareMcp: DeclareVerb = (program, cli) => {
  const mcp = program
    .command("mcp")
    .description("manage MCP servers, and which agents use them")
    .addHelpText("before", EXAMPLES);
  declareMcpList(mcp, cli);
  declareMcpStatus(mcp, cli);
  declareMcpGet(mcp, cli);
  declareMcpAdd(mcp, cli);
  declareMcpImport(mcp, cli);
  declareMcpEnable(mcp, cli);
  declareMcpDisable(mcp, cli);
  declareMcpRemove(mcp, cli);
};
