import { addWaitOptions, type WaitOptions } from "../applied/wait-options.ts";
import { agentTargetOption, concernedBy } from "../catalog/agent-target.ts";
import { skills as kind } from "../catalog/catalog-item.ts";
import { changeAssignment } from "../catalog/change-assignment.ts";
import { waitForChange } from "../catalog/wait-for-change.ts";
import type { DeclareVerb } from "../declare-verb.ts";

const EXAMPLES = `Examples:
  $ hermit skills enable report --agent '*' --wait     also future agents
  $ hermit skills enable report --agent one --agent two
`;

/** `hermit skills enable SKILL --agent AGENT`. */
export const declareSkillsEnable: DeclareVerb = (skills, cli) => {
  const command = skills
    .command("enable")
    .argument("<skill>", "the skill's id")
    .description("give a skill to agents")
    .addHelpText("before", EXAMPLES)
    .addOption(agentTargetOption("an agent, or '*' for every one; may be repeated").makeOptionMandatory());
  addWaitOptions(command).action(async (id: string, options: WaitOptions & { agent: string[] }) => {
    const targets = await changeAssignment(cli, kind, "enable", { id, targets: options.agent });
    if (targets.length === 0) return;
    await waitForChange(cli, await cli.gateway(), { agentIds: concernedBy(targets), wait: options });
  });
};
