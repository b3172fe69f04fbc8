import { SkillSchema } from "@openhermit/protocol/catalog/v1/skill";
import { listAllSkills } from "../catalog/catalog-lists.ts";
import { skillColumns } from "../catalog/skill-view.ts";
import { outputOption, printMessages, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit skills list
  $ hermit skills list -o json | jq '.[] | select(.agents == ["*"]).id'
`;

/** `hermit skills list`. */
export const declareSkillsList: DeclareVerb = (skills, cli) => {
  skills
    .command("list")
    .alias("ls")
    .description("list all skills, and who has them")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("table", "json", "jsonl", "yaml", "name"))
    .action(async (options: { output: OutputFormat }) => {
      await printMessages(cli.terminal, options.output, {
        schema: SkillSchema,
        messages: await listAllSkills(await cli.gateway()),
        columns: skillColumns(cli.terminal),
        name: ({ id }) => id,
        none: "No skills yet. Add one: bin/hermit skills add FOLDER --agent '*'",
      });
    });
};
