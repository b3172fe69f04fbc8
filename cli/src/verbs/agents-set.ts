import { clone, create, toJson } from "@bufbuild/protobuf";
import { AgentSchema, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { ChangeAction, ChangeSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { waitForChange } from "../catalog/wait-for-change.ts";
import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import type { DeclareVerb } from "../declare-verb.ts";
import { changeLines } from "../manifest/plan-text.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { parseSettings, writeSettings } from "../settings/parse-settings.ts";
import { agentSettings } from "../settings/setting.ts";
import { changesOf, withRetries } from "../settings/setting-changes.ts";

const EXAMPLES = `Examples:
  $ hermit agents set one model=anthropic/claude-sonnet-4-5 --wait
  $ hermit agents set one modelParameters.temperature=0.2 labels.tier=gold
  $ hermit agents set one instructions=@prompt.md      from a file; @- is stdin
  $ hermit agents set one model=                       as the defaults say again

Keys are those of a manifest: displayName, team, desiredState, model,
modelParameters.temperature|maxOutputTokens|topP, launcher,
turnLimits.maxSteps|timeout|maxConcurrentTurns, instructions, labels.NAME.
A change reaches the agent's next turn.
`;

interface SetOptions extends WaitOptions {
  output: OutputFormat;
}

/** `hermit agents set AGENT KEY=VALUE...`. */
export const declareAgentsSet: DeclareVerb = (agents, cli) => {
  addWaitOptions(
    agents
      .command("set")
      .usage("[options] <agent> KEY=VALUE...")
      .argument("<agent>", "the agent's id")
      .argument("<value...>", "KEY=VALUE; without a value it is unset")
      .description("change values of an agent")
      .addHelpText("before", EXAMPLES)
      .addOption(outputOption("text", "json", "jsonl", "yaml", "name")),
  ).action(async (agentId: string, words: string[], options: SetOptions) => {
    const wanted = await parseSettings(cli, words, agentSettings, { labels: true });
    const gateway = await cli.gateway();
    const { before, after } = await withRetries(async () => {
      const { agent: current } = await gateway.fleet.getAgent({ agentId });
      if (!current) throw new CliError(`agent ${agentId} can't be read`);
      const changed = clone(AgentSchema, current);
      writeSettings(changed, wanted);
      const paths = wanted
        .filter(({ setting }) => setting.read(changed) !== setting.read(current))
        .map(({ setting }) => setting.path);
      if (paths.length === 0) return { before: current, after: current };
      const { id, etag, displayName, labels, team, desiredState, spec } = changed;
      const { agent = changed } = await gateway.fleet.updateAgent({
        agent: { id, etag, displayName, labels, team, desiredState, ...(spec && { spec }) },
        updateMask: { paths: [...new Set(paths)] },
      });
      return { before: current, after: agent };
    });
    const settings = wanted.map(({ setting }) => setting);
    const change = create(ChangeSchema, {
      action: ChangeAction.UPDATE,
      resourceType: "agent",
      resourceId: agentId,
      fields: changesOf(settings, before, after),
    });
    if (options.output === "text") {
      if (before === after) cli.terminal.say(`agent ${agentId} is like that already`);
      else for (const line of changeLines(cli.terminal, [change])) cli.terminal.line(line);
    } else {
      await printAgent(cli, options.output, after);
    }
    // Also when nothing changed: the change may be somebody else's a moment ago.
    await waitForChange(cli, gateway, { agentIds: [agentId], wait: options });
  });
};

async function printAgent({ terminal }: Cli, format: OutputFormat, agent: Agent): Promise<void> {
  if (format === "name") terminal.line(agent.id);
  else await printValue(terminal, format, toJson(AgentSchema, agent));
}
