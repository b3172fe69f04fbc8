import { SkillSchema } from "@openhermit/protocol/catalog/v1/skill";
import { skillRows } from "../catalog/skill-view.ts";
import { outputOption, printMessage, type OutputFormat } from "../output/print.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit skills get report
  $ hermit skills get report -o json | jq -r .digest
`;

/** `hermit skills get SKILL`. */
export const declareSkillsGet: DeclareVerb = (skills, cli) => {
  skills
    .command("get")
    .argument("<skill>", "the skill's id")
    .description("show one skill; for its text: skills show")
    .addHelpText("before", EXAMPLES)
    .addOption(outputOption("text", "json", "jsonl", "yaml", "name"))
    .action(async (skillId: string, options: { output: OutputFormat }) => {
      const gateway = await cli.gateway();
      const { skill } = await gateway.skills.getSkill({ skillId });
      if (!skill) return;
      await printMessage(cli.terminal, options.output, {
        schema: SkillSchema,
        message: skill,
        rows: skillRows(skill),
        name: skill.id,
      });
    });
};
