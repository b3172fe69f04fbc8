import { clone, create, toJson } from "@bufbuild/protobuf";
import { AgentSchema, DefaultsSchema } from "@openhermit/protocol/fleet/v1/agent";
import { ChangeAction, ChangeSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { waitForChange } from "../catalog/wait-for-change.ts";
import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import type { DeclareVerb } from "../declare-verb.ts";
import { changeLines } from "../manifest/plan-text.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { parseSettings, writeSettings } from "../settings/parse-settings.ts";
import { sharedSettings } from "../settings/setting.ts";
import { changesOf, withRetries } from "../settings/setting-changes.ts";

const EXAMPLES = `Examples:
  $ hermit defaults set model=anthropic/claude-sonnet-4-5 --wait
  $ hermit defaults set modelParameters.temperature=0.2 turnLimits.timeout=5m
  $ hermit defaults set instructions=@prompt.md      from a file; @- is stdin
  $ hermit defaults set instructions=                nothing any more

Keys are those of a manifest: model, launcher, instructions,
modelParameters.temperature|maxOutputTokens|topP,
turnLimits.maxSteps|timeout|maxConcurrentTurns.
A change reaches the next turn of every agent that does not set it itself.
`;

interface SetOptions extends WaitOptions {
  output: OutputFormat;
}

/** `hermit defaults set KEY=VALUE...`. */
export const declareDefaultsSet: DeclareVerb = (defaults, cli) => {
  addWaitOptions(
    defaults
      .command("set")
      .usage("[options] KEY=VALUE...")
      .argument("<default-value...>", "KEY=VALUE; without a value it is unset")
      .description("change the defaults of the whole fleet")
      .addHelpText("before", EXAMPLES)
      .addOption(outputOption("text", "json", "jsonl", "yaml")),
  ).action(async (words: string[], options: SetOptions) => {
    const wanted = await parseSettings(cli, words, sharedSettings, { labels: false });
    const gateway = await cli.gateway();
    const settings = wanted.map(({ setting }) => setting);
    const { stored, fields } = await withRetries(async () => {
      const { defaults: current = create(DefaultsSchema) } = await gateway.fleet.getDefaults({});
      // The settings are those of an agent that has nothing else.
      const before = create(AgentSchema, { spec: current.spec });
      const after = clone(AgentSchema, before);
      writeSettings(after, wanted);
      const changes = changesOf(settings, before, after);
      if (changes.length === 0) return { stored: current, fields: changes };
      const changed = create(DefaultsSchema, { spec: after.spec, etag: current.etag });
      const { defaults: now = changed } = await gateway.fleet.putDefaults({ defaults: changed });
      return { stored: now, fields: changes };
    });
    const { terminal } = cli;
    if (options.output !== "text") await printValue(terminal, options.output, toJson(DefaultsSchema, stored));
    else if (fields.length === 0) terminal.say("the defaults are like that already");
    else {
      const target = { resourceType: "defaults", resourceId: "defaults" };
      const change = create(ChangeSchema, { ...target, action: ChangeAction.UPDATE, fields });
      for (const line of changeLines(terminal, [change])) terminal.line(line);
    }
    await waitForChange(cli, gateway, { agentIds: [], wait: options });
  });
};
