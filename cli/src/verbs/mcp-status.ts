import { toJson, type JsonValue } from "@bufbuild/protobuf";
import { McpServerAgentStatusSchema } from "@openhermit/protocol/catalog/v1/catalog_service";
import { listAllMcpServers } from "../catalog/catalog-lists.ts";
import { readAgents, readConnections, type Connection, type ConnectionState } from "../catalog/connections.ts";
import type { Cli } from "../cli.ts";
import { outputOption, printItems, type OutputFormat } from "../output/print.ts";
import { plainLine } from "../output/plain-text.ts";
import { formatTable, type Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { ageText } from "../output/time-text.ts";
import { wrapWords } from "../output/wrap-words.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit mcp status              a line for each server
  $ hermit mcp status files        a line for each agent that uses it
  $ hermit mcp status files -o json | jq '.[] | select(.lastError) | .agentId'
`;
/** How many agents are named for one reason. */
const NAMED = 8;
/** How many servers are asked about at a time. */
const AT_ONCE = 8;
const COLORS: Readonly<Record<ConnectionState, "green" | "yellow" | "red" | "dim">> = {
  connected: "green",
  connecting: "yellow",
  leaving: "yellow",
  down: "red",
  waiting: "dim",
};

/** `hermit mcp status [SERVER]`. */
export const declareMcpStatus: DeclareVerb = (mcp, cli) => {
  mcp
    .command("status")
    .argument("[mcp-server]", "one server, with a line for each of its agents")
    .description("say how MCP servers are with the agents that use them")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (mcpServerId: string | undefined, options: { output: OutputFormat }) => {
      if (mcpServerId === undefined) await printSummary(cli, options.output);
      else await printServer(cli, mcpServerId, options.output);
    });
};

async function printServer(cli: Cli, mcpServerId: string, output: OutputFormat): Promise<void> {
  const gateway = await cli.gateway();
  const items = await readConnections(gateway, mcpServerId, await readAgents(gateway));
  await printItems(cli.terminal, output, {
    items,
    json: ({ status }) => toJson(McpServerAgentStatusSchema, status),
    columns: connectionColumns(cli.terminal),
    name: ({ status }) => status.agentId,
    none: `No agent uses ${mcpServerId}. Give it to some: bin/hermit mcp enable ${mcpServerId} --agent '*'`,
  });
  if (output === "table" && cli.terminal.isTerminal.out) printReasons(cli.terminal, items);
}

/** Why agents are not connected, each reason once, where the table had to cut it. */
function printReasons(terminal: Terminal, connections: readonly Connection[]): void {
  const table = formatTable(terminal, connectionColumns(terminal), connections);
  const down = connections.filter(({ state }) => state === "down");
  for (const [reason, some] of Map.groupBy(down, ({ status }) => plainLine(status.lastError, 1000))) {
    if (table.includes(reason)) continue;
    const ids = some.map(({ status }) => status.agentId);
    const more = ids.length > NAMED ? ` and ${ids.length - NAMED} more` : "";
    terminal.line(`\n${terminal.paint("dim", `${ids.slice(0, NAMED).join(", ")}${more}:`)}`);
    for (const line of wrapWords(reason, terminal.width)) terminal.line(line);
  }
}

function connectionColumns(terminal: Terminal): Column<Connection>[] {
  const counts = ({ state }: Connection): boolean => state !== "waiting";
  return [
    { title: "AGENT", text: ({ status }) => status.agentId, paint: (_, text) => terminal.paint("bold", text) },
    {
      title: "STATE",
      text: ({ word }) => word,
      paint: ({ state }, text) => terminal.paint(COLORS[state], text),
    },
    { title: "TOOLS", text: (one) => (one.state === "connected" ? String(one.status.toolCount) : "-") },
    { title: "SINCE", text: (one) => (counts(one) ? ageText(one.status.since) : "-") },
    { title: "BY", text: ({ status }) => (!status.enabled ? "-" : status.byWildcard ? "*" : "own") },
    { title: "LAST ERROR", text: errorText },
  ];
}

/** The error, and when it was unless it is why the server is down since then. */
function errorText({ state, status: { lastError, lastErrorTime } }: Connection): string {
  if (lastError === "" || lastErrorTime === undefined || state === "down") return lastError;
  return `${ageText(lastErrorTime)} ago: ${lastError}`;
}

interface Summary {
  id: string;
  agents: number;
  connected: number;
  connecting: number;
  down: number;
  waiting: number;
  lastError: string;
}

async function printSummary(cli: Cli, output: OutputFormat): Promise<void> {
  const gateway = await cli.gateway();
  const [servers, agents] = await Promise.all([listAllMcpServers(gateway), readAgents(gateway)]);
  const items: Summary[] = [];
  for (let start = 0; start < servers.length; start += AT_ONCE) {
    const some = servers.slice(start, start + AT_ONCE);
    items.push(
      ...(await Promise.all(some.map(async ({ id }) => summaryOf(id, await readConnections(gateway, id, agents))))),
    );
  }
  await printItems(cli.terminal, output, {
    items,
    json: (summary): JsonValue => ({ ...summary }),
    columns: summaryColumns(cli.terminal),
    name: ({ id }) => id,
    none: "No MCP servers yet. Add one: bin/hermit mcp add ID --agent '*' -- COMMAND ARGS...",
  });
}

function summaryOf(id: string, connections: readonly Connection[]): Summary {
  const count = (state: ConnectionState): number => connections.filter((one) => one.state === state).length;
  return {
    id,
    agents: connections.filter(({ status }) => status.enabled).length,
    connected: count("connected"),
    connecting: count("connecting"),
    down: count("down"),
    waiting: count("waiting"),
    lastError: connections.find(({ state }) => state === "down")?.status.lastError ?? "",
  };
}

function summaryColumns(terminal: Terminal): Column<Summary>[] {
  return [
    { title: "SERVER", text: ({ id }) => id, paint: (_, text) => terminal.paint("bold", text) },
    { title: "AGENTS", text: ({ agents }) => String(agents) },
    {
      title: "CONNECTED",
      text: ({ connected }) => String(connected),
      paint: ({ agents, connected, waiting }, text) =>
        terminal.paint(connected + waiting >= agents ? "green" : "yellow", text),
    },
    {
      title: "DOWN",
      text: ({ down }) => String(down),
      paint: ({ down }, text) => terminal.paint(down > 0 ? "red" : "reset", text),
    },
    { title: "CONNECTING", optional: true, hideEmpty: true, text: ({ connecting }) => String(connecting || "") },
    { title: "NOT RUNNING", optional: true, hideEmpty: true, text: ({ waiting }) => String(waiting || "") },
    { title: "WHY DOWN", hideEmpty: true, text: ({ lastError }) => lastError },
  ];
}
