import { AgentSchema, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { stateDetail, stateWord } from "../agent-view.ts";
import { outputOption, printMessage, type OutputFormat } from "../output/print.ts";
import { plainText } from "../output/plain-text.ts";
import { ageText } from "../output/time-text.ts";
import type { Terminal } from "../output/terminal.ts";
import type { DeclareVerb } from "../declare-verb.ts";

/** `hermit agents get AGENT`. */
export const declareAgentsGet: DeclareVerb = (agents, cli) => {
  agents
    .command("get")
    .argument("<agent>", "the agent's id")
    .description("show one agent")
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
      if (options.output === "text") printInstructions(cli.terminal, agent);
    });
};

function rowsOf(agent: Agent): [string, string][] {
  const { spec, status } = agent;
  const applied = status?.appliedGeneration ?? 0n;
  const desired = status?.desiredGeneration ?? 0n;
  return [
    ["Agent", agent.id],
    ["Name", agent.displayName],
    ["Team", agent.team],
    ["State", `${stateWord(agent)} for ${ageText(status?.stateSince)}`],
    ["Detail", stateDetail(agent)],
    ["Model", spec?.model ?? ""],
    [
      "Sidecar",
      status?.pid ? `${status.sidecarId} on ${status.host}, pid ${status.pid}, ${status.sidecarVersion}` : "",
    ],
    [
      "Configuration",
      applied === desired ? `generation ${applied}` : `generation ${applied}, ${desired} is on its way`,
    ],
    ["Restarts", status?.restartCount ? String(status.restartCount) : ""],
    [
      "Labels",
      Object.entries(agent.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(", "),
    ],
  ];
}

function printInstructions(terminal: Terminal, { spec }: Agent): void {
  if (!spec?.instructions) return;
  terminal.line(terminal.paint("dim", "Instructions"));
  for (const line of plainText(spec.instructions).trimEnd().split("\n")) terminal.line(`  ${line}`);
}
