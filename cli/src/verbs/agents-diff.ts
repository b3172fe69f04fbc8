import { toJson } from "@bufbuild/protobuf";
import { CompareAgentsResponseSchema, type FieldChange } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { DeclareVerb } from "../declare-verb.ts";
import { fieldLines } from "../manifest/field-lines.ts";
import { cutPair, cutText, valueText } from "../manifest/value-text.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { formatTable, type Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";

const EXAMPLES = `Examples:
  $ hermit agents diff one two
  $ hermit agents diff one two -o name      only what differs
  $ hermit agents diff one two -o json | jq '.fields[].path'

Compares all that the two run with: effective values, MCP servers and skills.
Exit codes: 0 they run with the same, 2 they differ, 1 error.
`;
const DIFFER = 2;
const UNSET = "-";
const MAX_PATH = 28;

/** `hermit agents diff ONE TWO`. */
export const declareAgentsDiff: DeclareVerb = (agents, cli) => {
  agents
    .command("diff")
    .argument("<agent>", "an agent's id")
    .argument("<other-agent>", "another one's")
    .description("say in what two agents differ")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (agentId: string, otherAgentId: string, options: { output: OutputFormat }) => {
      const gateway = await cli.gateway();
      const response = await gateway.manifest.compareAgents({ agentId, otherAgentId });
      const { fields } = response;
      if (fields.length > 0) cli.setExitCode(DIFFER);
      const { terminal } = cli;
      if (options.output === "name") for (const { path } of fields) terminal.line(path);
      else if (options.output !== "table")
        await printValue(terminal, options.output, toJson(CompareAgentsResponseSchema, response));
      else if (fields.length === 0) terminal.say(`${agentId} and ${otherAgentId} run with the same.`);
      else printDifferences(terminal, [agentId, otherAgentId], fields);
    });
};

/** A table of the values; what differs in a text of several lines stands below it. */
function printDifferences(terminal: Terminal, ids: [string, string], fields: readonly FieldChange[]): void {
  const pathWidth = Math.min(MAX_PATH, Math.max("FIELD".length, ...fields.map(({ path }) => path.length)));
  const room = terminal.isTerminal.out ? Math.floor((terminal.width - pathWidth - 4) / 2) : 80;
  const rows = fields.map(({ path, before, after }) => {
    const [one, other] = cutPair(cellText(before), cellText(after), Math.max(10, room));
    return { path: cutText(path, MAX_PATH), one, other };
  });
  const columns: Column<(typeof rows)[number]>[] = [
    { title: "FIELD", text: ({ path }) => path },
    { title: ids[0], text: ({ one }) => one },
    { title: ids[1], text: ({ other }) => other },
  ];
  terminal.line(formatTable(terminal, columns, rows));
  const texts = fields.filter(({ before, after }) => before.includes("\n") && after.includes("\n"));
  if (texts.length === 0) return;
  terminal.line("");
  for (const line of fieldLines(terminal, texts, "both")) terminal.line(line.replace(/^ {4}/, ""));
}

const cellText = (value: string): string => (value === "" ? UNSET : valueText(value));
