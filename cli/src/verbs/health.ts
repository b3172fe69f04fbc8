import { toJson } from "@bufbuild/protobuf";
import {
  FleetHealthSchema,
  HealthState,
  type ComponentHealth,
  type FleetHealth,
} from "@openhermit/protocol/health/v1/health";
import { isUnreachable } from "../error-report.ts";
import { CliError } from "../cli-error.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { formatTable } from "../output/table.ts";
import { enumWord } from "../output/enum-word.ts";
import { plainLine } from "../output/plain-text.ts";
import { ageText } from "../output/time-text.ts";
import type { Terminal } from "../output/terminal.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit health
  $ hermit health -o json | jq .state

Exit codes: 0 OK, 1 DEGRADED, 2 DOWN, 3 the gateway does not answer.
`;
const UNREACHABLE = 3;

/** `hermit health`: how the gateway and the agents are. */
export const declareHealth: DeclareVerb = (program, cli) => {
  program
    .command("health")
    .description("say how the gateway and the agents are")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("table", "json", "jsonl", "yaml"))
    .action(async (options: { output: OutputFormat }) => {
      const gateway = await cli.gateway().catch((error: unknown) => {
        if (!(error instanceof CliError) || error.exitCode !== 1) throw error;
        const { why, next } = error;
        throw new CliError(error.message, { why, next, exitCode: UNREACHABLE, cause: error });
      });
      const health = await gateway.health.getFleetHealth({}).then(
        (response) => response.health,
        (error: unknown) => {
          if (!isUnreachable(error)) throw error;
          throw new CliError(`the gateway does not answer at ${gateway.url}`, {
            next: "bin/hermit up starts it; bin/hermit doctor finds what is wrong",
            exitCode: UNREACHABLE,
            cause: error,
          });
        },
      );
      if (!health) return;
      if (options.output === "table") printHealth(cli.terminal, health);
      else await printValue(cli.terminal, options.output, toJson(FleetHealthSchema, health));
      cli.setExitCode(exitCodeOf(health.state));
    });
};

function exitCodeOf(state: HealthState): number {
  if (state === HealthState.OK) return 0;
  return state === HealthState.DOWN ? 2 : 1;
}

function printHealth(terminal: Terminal, health: FleetHealth): void {
  terminal.line(paintState(terminal, health.state, wordOf(health.state)));
  for (const reason of health.reasons) terminal.line(`  ${plainLine(reason)}`);
  const rows: { where: string; component: ComponentHealth }[] = [
    ...health.gatewayComponents.map((component) => ({ where: "gateway", component })),
    ...health.agents.flatMap(({ agentId, components }) =>
      components.map((component) => ({ where: agentId, component })),
    ),
  ];
  if (rows.length === 0) return;
  const columns = [
    { title: "WHERE", text: (row: (typeof rows)[number]) => row.where },
    { title: "COMPONENT", text: (row: (typeof rows)[number]) => row.component.name },
    {
      title: "STATE",
      text: (row: (typeof rows)[number]) => wordOf(row.component.state),
      paint: (row: (typeof rows)[number], text: string) => paintState(terminal, row.component.state, text),
    },
    { title: "SINCE", text: (row: (typeof rows)[number]) => ageText(row.component.since) },
    { title: "DETAIL", text: (row: (typeof rows)[number]) => row.component.detail },
  ];
  terminal.line(formatTable(terminal, columns, rows));
}

const wordOf = (state: HealthState): string => enumWord(HealthState, state).toUpperCase();

function paintState(terminal: Terminal, state: HealthState, text: string): string {
  const color = state === HealthState.OK ? "green" : state === HealthState.DOWN ? "red" : "yellow";
  return terminal.paint(color, text);
}
