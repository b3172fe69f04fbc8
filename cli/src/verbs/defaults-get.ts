import { create, toJson } from "@bufbuild/protobuf";
import { AgentSchema, DefaultsSchema, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { DeclareVerb } from "../declare-verb.ts";
import { fieldLines } from "../manifest/field-lines.ts";
import { outputOption, printValue, type OutputFormat } from "../output/print.ts";
import { plainText } from "../output/plain-text.ts";
import { findSetting } from "../settings/parse-settings.ts";
import { sharedSettings, type Setting } from "../settings/setting.ts";
import { changesOf } from "../settings/setting-changes.ts";

const EXAMPLES = `Examples:
  $ hermit defaults get
  $ hermit defaults get model          the value alone, for scripts
  $ hermit defaults get -o yaml
`;

/** `hermit defaults get [KEY]`. */
export const declareDefaultsGet: DeclareVerb = (defaults, cli) => {
  defaults
    .command("get")
    .argument("[default-key]", "show the value of one key alone")
    .description("show what is set")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action(async (key: string | undefined, options: { output: OutputFormat }) => {
      const wanted = key === undefined ? undefined : findSetting(key, sharedSettings, { labels: false });
      const { fleet } = await cli.gateway();
      const { defaults: stored = create(DefaultsSchema) } = await fleet.getDefaults({});
      const agent = create(AgentSchema, { spec: stored.spec });
      const { terminal } = cli;
      if (wanted) terminal.line(plainText(wanted.read(agent)));
      else if (options.output === "text") {
        const lines = fieldLines(terminal, changesOf(sharedSettings, create(AgentSchema), agent), "after");
        if (lines.length === 0) terminal.say("Nothing is set. Set something: bin/hermit defaults set KEY=VALUE");
        for (const line of lines) terminal.line(line.replace(/^ {4}/, ""));
      } else if (options.output === "name") for (const { key: name } of setOnes(agent)) terminal.line(name);
      else await printValue(terminal, options.output, toJson(DefaultsSchema, stored));
    });
};

const setOnes = (agent: Agent): Setting[] => sharedSettings.filter((setting) => setting.read(agent) !== "");
