import { AgentSchema, ValueSource, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { configurationText, stateDetail, stateWord } from "../agent-view.ts";
import { outputOption, printMessage, type OutputFormat } from "../output/print.ts";
import { plainText } from "../output/plain-text.ts";
import { ageText } from "../output/time-text.ts";
import { formatTable, type Column } from "../output/table.ts";
import type { Terminal } from "../output/terminal.ts";
import type { DeclareVerb } from "../declare-verb.ts";
import { sharedSettings } from "../settings/setting.ts";
import { sourceWord } from "../settings/setting-changes.ts";

const EXAMPLES = `Examples:
  $ hermit agents get one
  $ hermit agents get one -o json | jq .effectiveSpec.model

Each value that the agent runs with says where it comes from: the agent
itself, the defaults of the fleet, or what is built in.
`;

/** `hermit agents get AGENT`. */
export const declareAgentsGet: DeclareVerb = (agents, cli) => {
  agents
    .command("get")
    .argument("<agent>", "the agent's id")
    .description("show one agent, and where its values come from")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action(async (agentId: string, options: { output: OutputFormat }) => {
      const gateway = await cli.gateway();
      const { agent } = await gateway.fleet.getAgent({ agentId });
      if (!agent) return;
      await printMessage(cli.terminal, options.output, {
        schema: AgentSchema,
        message: agent,
        rows: rowsOf(agent),
        name: agent.id,
      });
      if (options.output !== "text") return;
      printValues(cli.terminal, agent);
      printInstructions(cli.terminal, agent);
    });
};

function rowsOf(agent: Agent): [string, string][] {
  const { status } = agent;
  const applied = status?.appliedGeneration ?? 0n;
  return [
    ["Agent", agent.id],
    ["Name", agent.displayName],
    ["Team", agent.team],
    ["State", `${stateWord(agent)} for ${ageText(status?.stateSince)}`],
    ["Detail", stateDetail(agent)],
    [
      "Sidecar",
      status?.pid ? `${status.sidecarId} on ${status.host}, pid ${status.pid}, ${status.sidecarVersion}` : "",
    ],
    ["Configuration", `generation ${applied}${configurationText(agent) === "" ? "" : `, ${waiting(agent)}`}`],
    ["Restarts", status?.restartCount ? String(status.restartCount) : ""],
    [
      "Labels",
      Object.entries(agent.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(", "),
    ],
  ];
}

/** What the newest configuration waits for. */
function waiting({ status }: Agent): string {
  const desired = status?.desiredGeneration ?? 0n;
  return status?.rejectedReason ? `${desired} is rejected` : `${desired} is on its way`;
}

interface Value {
  key: string;
  value: string;
  source: string;
}

/** What the agent runs with, and where each value comes from. */
function printValues(terminal: Terminal, agent: Agent): void {
  const effective = { ...agent, spec: agent.effectiveSpec ?? agent.spec };
  const values = sharedSettings.flatMap(({ key, read }): Value[] => {
    const value = read(effective);
    return value === "" || key === "instructions" ? [] : [{ key, value, source: sourceOf(agent, key) }];
  });
  const columns: Column<Value>[] = [
    { title: "KEY", text: ({ key }) => key },
    { title: "VALUE", text: ({ value }) => value },
    {
      title: "FROM",
      text: ({ source }) => `(${source})`,
      paint: ({ source }, text) => terminal.paint(source === OWN ? "reset" : "dim", text),
    },
  ];
  const [, ...rows] = formatTable(terminal, columns, values).split("\n");
  if (rows.length > 0) terminal.line(["", ...rows].join("\n"));
}

const OWN = sourceWord(ValueSource.AGENT);

const sourceOf = ({ sources }: Agent, key: string): string => sourceWord(sources[key]) || OWN;

function printInstructions(terminal: Terminal, agent: Agent): void {
  const instructions = (agent.effectiveSpec ?? agent.spec)?.instructions ?? "";
  if (instructions === "") return;
  terminal.line(`\ninstructions  ${terminal.paint("dim", `(${sourceOf(agent, "instructions")})`)}`);
  for (const line of plainText(instructions).trimEnd().split("\n")) terminal.line(`  ${line}`);
}
