import { toJson } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  FleetHealthSchema,
  HealthState,
  type ComponentHealth,
  type FleetHealth,
} from "@openhermit/protocol/health/v1/health";
import { toCliError } from "../error-report.ts";
import { CliError } from "../cli-error.ts";
import { ExitCode } from "../exit-code.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { formatTable, type Column } from "../output/table.ts";
import { enumWord } from "../output/enum-word.ts";
import { plainLine } from "../output/plain-text.ts";
import { wrapWords } from "../output/wrap-words.ts";
import { ageText } from "../output/time-text.ts";
import type { Terminal } from "../output/terminal.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit health                  each agent, and what is not well
  $ hermit health --all            every component of each agent
  $ hermit health -o json | jq .state

Exit codes: 0 OK, 1 DEGRADED, 2 DOWN, 3 nobody knows: the gateway
does not answer, or refuses to say.
`;
const UNTOLD = 3;
/** How many agents are named for one reason. */
const NAMED = 8;

/** `hermit health`: how the gateway and the agents are. */
export const declareHealth: DeclareVerb = (program, cli) => {
  program
    .command("health")
    .description("say how the gateway and the agents are")
    .addHelpText("before", EXAMPLES)
    .option("-a, --all", "list also the components that are well")
    .addOption(outputOption("table", "json", "jsonl", "yaml"))
    .action(async (options: { all?: boolean; output: OutputFormat }) => {
      const gateway = await cli.gateway().catch((error: unknown) => {
        throw untold(error);
      });
      const { health } = await gateway.health.getFleetHealth({}).catch((error: unknown) => {
        throw untold(toCliError(error, gateway));
      });
      if (!health) return;
      if (options.output === "table") printHealth(cli.terminal, health, options.all === true);
      else await printValue(cli.terminal, options.output, toJson(FleetHealthSchema, health));
      cli.setExitCode(exitCodeOf(health.state));
    });
};

/** The same error with an exit code that is none of a health. */
function untold(error: unknown): unknown {
  if (!(error instanceof CliError) || error.exitCode !== ExitCode.error) return error;
  const { message, why, next, cause } = error;
  return new CliError(message, { why, next, exitCode: UNTOLD, cause });
}

function exitCodeOf(state: HealthState): number {
  if (state === HealthState.OK) return 0;
  return state === HealthState.DOWN ? 2 : 1;
}

interface Row {
  where: string;
  component: string;
  state: HealthState;
  since: string;
  detail: string;
}

function printHealth(terminal: Terminal, health: FleetHealth, all: boolean): void {
  terminal.line(paintState(terminal, health.state, wordOf(health.state)));
  const reasons = groupReasons(health.reasons);
  for (const reason of reasons) for (const line of reasonLines(terminal, reason)) terminal.line(line);
  const rows = [
    ...rowsOf("gateway", health.gatewayComponents, all),
    ...health.agents.flatMap(({ agentId, components }) => rowsOf(agentId, components, all)),
  ];
  if (rows.length === 0) return;
  const columns: Column<Row>[] = [
    { title: "WHERE", text: (row) => row.where },
    { title: "COMPONENT", text: (row) => row.component },
    { title: "STATE", text: (row) => wordOf(row.state), paint: (row, text) => paintState(terminal, row.state, text) },
    { title: "SINCE", text: (row) => row.since },
    // What stands in a reason above is not said again.
    {
      title: "DETAIL",
      hideEmpty: true,
      text: ({ detail }) => (reasons.some((one) => one.endsWith(`: ${detail}`)) ? "" : detail),
    },
  ];
  terminal.line(formatTable(terminal, columns, rows));
}

/** What is the same with several agents, once: `agents "one", "two": mcp:files does not work: ...`. */
function groupReasons(reasons: readonly string[]): string[] {
  const agents = new Map<string, string[]>();
  for (const reason of reasons) {
    const [, agent, words] = /^agent ("[^"]+"): (.*)$/s.exec(reason) ?? [];
    if (agent === undefined || words === undefined) agents.set(reason, []);
    else agents.set(words, [...(agents.get(words) ?? []), agent]);
  }
  return [...agents].map(([words, ids]) => {
    if (ids.length === 0) return words;
    const more = ids.length > NAMED ? ` and ${ids.length - NAMED} more` : "";
    return `${ids.length === 1 ? "agent" : "agents"} ${ids.slice(0, NAMED).join(", ")}${more}: ${words}`;
  });
}

function reasonLines(terminal: Terminal, reason: string): string[] {
  const line = plainLine(reason, 1000);
  return terminal.isTerminal.out ? wrapWords(line, terminal.width, "  ", "    ") : [`  ${line}`];
}

/** A row for each component; the ones that are well share one row, as old as the youngest of them. */
function rowsOf(where: string, components: readonly ComponentHealth[], all: boolean): Row[] {
  const row = ({ name, state, since, detail }: ComponentHealth): Row => ({
    where,
    component: name,
    state,
    since: ageText(since),
    detail,
  });
  const well = components.filter(({ state, detail }) => state === HealthState.OK && detail === "");
  if (all || well.length < 2) return components.map(row);
  const youngest = well.reduce((one, other) => (msOf(other) > msOf(one) ? other : one));
  const shared = { ...row(youngest), component: well.length === components.length ? "all" : "others" };
  return [...components.filter((component) => !well.includes(component)).map(row), shared];
}

const msOf = ({ since }: ComponentHealth): number => (since ? timestampMs(since) : 0);

const wordOf = (state: HealthState): string => enumWord(HealthState, state).toUpperCase();

function paintState(terminal: Terminal, state: HealthState, text: string): string {
  const color = state === HealthState.OK ? "green" : state === HealthState.DOWN ? "red" : "yellow";
  return terminal.paint(color, text);
}
