import { create, toJson } from "@bufbuild/protobuf";
import {
  CompareAgentsResponseSchema,
  FieldChangeSchema,
  type FieldChange,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import type { DeclareVerb } from "../declare-verb.ts";
import { ExitCode } from "../exit-code.ts";
import { fieldLines } from "../manifest/field-lines.ts";
import { valueText } from "../manifest/value-text.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { formatTable, type Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import { wrapWords } from "../output/wrap-words.ts";

const EXAMPLES = `Examples:
  $ hermit agents diff one two
  $ hermit agents diff one two -o name      only what differs
  $ hermit agents diff one two -o json | jq '.fields[].path'

Compares all that the two run with: effective values, MCP servers and skills.
Exit codes: 0 they run with the same, 2 they differ, 1 error.
`;
const UNSET = "-";
/** The longest value that a table of a file or a pipe shows. */
const ELSEWHERE = 200;

/** What fieldLines puts in front of each line. */
const INDENT = 4;

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
      if (fields.length > 0) cli.setExitCode(ExitCode.differs);
      const { terminal } = cli;
      if (options.output === "name") for (const { path } of fields) terminal.line(path);
      else if (options.output !== "table")
        await printValue(terminal, options.output, toJson(CompareAgentsResponseSchema, response));
      else if (fields.length === 0) terminal.say(`${agentId} and ${otherAgentId} run with the same.`);
      else printDifferences(terminal, [agentId, otherAgentId], fields);
    });
};

/** A table of the values; those that do not fit stand below it, each with the first one's lines and the other one's. */
function printDifferences(terminal: Terminal, ids: [string, string], fields: readonly FieldChange[]): void {
  const width = Math.max("FIELD".length, ...fields.map(({ path }) => path.length));
  const room = terminal.isTerminal.out ? Math.floor((terminal.width - width - 4) / 2) : ELSEWHERE;
  const fits = ({ before, after }: FieldChange): boolean =>
    [before, after].every((value) => cellText(value).length <= room && !value.trimEnd().includes("\n"));
  const rows = fields.filter(fits);
  const others = fields.filter((field) => !fits(field));
  const columns: Column<FieldChange>[] = [
    { title: "FIELD", text: ({ path }) => path },
    { title: ids[0], text: ({ before }) => cellText(before) },
    { title: ids[1], text: ({ after }) => cellText(after) },
  ];
  if (rows.length > 0) terminal.line(formatTable(terminal, columns, rows));
  if (rows.length > 0 && others.length > 0) terminal.line("");
  for (const field of others) {
    // As a text of several lines, so that the values stand below each other.
    const { path, before, after } = field;
    const texts = create(FieldChangeSchema, { path, before: textOf(before, terminal), after: textOf(after, terminal) });
    for (const line of fieldLines(terminal, [texts], "both")) terminal.line(line.slice(INDENT));
  }
}

const cellText = (value: string): string => (value === "" ? UNSET : valueText(value.trimEnd()));

/** A value as lines that fit on a terminal: all of it counts, since both may differ in every word. */
function textOf(value: string, terminal: Terminal): string {
  if (value === "") return "";
  const lines = value.trimEnd().split("\n");
  const room = terminal.isTerminal.out ? terminal.width - "  + ".length - INDENT : Infinity;
  return `${lines.flatMap((line) => wrapWords(line, room)).join("\n")}\n`;
}
