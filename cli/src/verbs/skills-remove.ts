import { confirm } from "../ask.ts";
import { usersText } from "../catalog/agent-target.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit skills remove report
  $ hermit skills disable report --agent '*'      keeps it for later
`;

/** `hermit skills remove SKILL`. */
export const declareSkillsRemove: DeclareVerb = (skills, cli) => {
  skills
    .command("remove")
    .alias("rm")
    .argument("<skill>", "the skill's id")
    .description("remove a skill; asks for its name")
    .addHelpText("before", EXAMPLES)
    .option("-y, --yes", "do not ask")
    .action(async (skillId: string, options: { yes?: boolean }) => {
      const gateway = await cli.gateway();
      if (options.yes !== true) {
        const { skill } = await gateway.skills.getSkill({ skillId });
        if (!skill) return;
        cli.terminal.say(`skill ${skillId} is used by ${usersText(skill)}; it goes with the next turn.`);
        await confirm(cli, {
          target: `skill ${skillId}`,
          done: "removed",
          name: skillId,
          withoutAsking: `bin/hermit skills remove ${skillId} --yes`,
        });
      }
      await gateway.skills.deleteSkill({ skillId });
      cli.terminal.say(`skill ${skillId} is removed`);
    });
};
