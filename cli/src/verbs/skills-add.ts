import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import { agentTargetOption, concernedBy } from "../catalog/agent-target.ts";
import { printChange } from "../catalog/catalog-change.ts";
import { putSkill } from "../catalog/put-skill.ts";
import { waitForChange } from "../catalog/wait-for-change.ts";
import type { DeclareVerb } from "../declare-verb.ts";
import { eachTarget } from "../each-target.ts";

const EXAMPLES = `Examples:
  $ hermit skills add ./skills/report --agent '*' --wait
  $ hermit skills add report.zip --agent one --agent two
  $ hermit skills add skills/*

A skill that is there already gets the new files and keeps its agents, unless
--agent says otherwise. Links are refused; .git, node_modules and the like are
left out.
`;

/** `hermit skills add PATH...`. */
export const declareSkillsAdd: DeclareVerb = (skills, cli) => {
  const command = skills
    .command("add")
    .argument("<skill-path...>", "the folder with its SKILL.md, or an archive:\n.zip, .skill, .tar, .tar.gz, .tgz")
    .description("add a skill, or replace its files")
    .addHelpText("before", EXAMPLES)
    .addOption(agentTargetOption("who has it; '*' is every agent; may be repeated"));
  addWaitOptions(command).action(async (paths: string[], options: WaitOptions & { agent?: string[] }) => {
    const gateway = await cli.gateway();
    const stored = await eachTarget(cli, "skill", paths, async (path) => {
      const { skill, before, after, notes } = await putSkill(gateway, path, options.agent);
      printChange(cli.terminal, { noun: "skill", id: skill.id, before, after, notes });
      if (skill.agents.length === 0)
        cli.terminal.say(`No agent has it yet: bin/hermit skills enable ${skill.id} --agent '*'`);
      return skill;
    });
    const agents = stored.flatMap((skill) => skill.agents);
    if (agents.length > 0) await waitForChange(cli, gateway, { agentIds: concernedBy(agents), wait: options });
  });
};
