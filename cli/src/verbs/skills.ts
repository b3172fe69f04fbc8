import type { DeclareVerb } from "../declare-verb.ts";
import { declareSkillsAdd } from "./skills-add.ts";
import { declareSkillsCheck } from "./skills-check.ts";
import { declareSkillsDisable } from "./skills-disable.ts";
import { declareSkillsEnable } from "./skills-enable.ts";
import { declareSkillsGet } from "./skills-get.ts";
import { declareSkillsList } from "./skills-list.ts";
import { declareSkillsRemove } from "./skills-remove.ts";
import { declareSkillsShow } from "./skills-show.ts";

const EXAMPLES = `Examples:
  $ hermit skills check ./skills/report
  $ hermit skills add ./skills/report --agent '*' --wait
  $ hermit skills disable report --agent two
  $ hermit skills show report

A skill is a folder with a SKILL.md, in the format of agentskills.io. '*' is
every agent, also every future one. A change reaches their next turn, without a
restart.
`;

/** `hermit skills`: skills, and which agents have them. */
export const declareSkills: DeclareVerb = (program, cli) => {
  const skills = program
    .command("skills")
    .description("manage skills, and which agents have them")
    .addHelpText("before", EXAMPLES);
  declareSkillsList(skills, cli);
  declareSkillsGet(skills, cli);
  declareSkillsShow(skills, cli);
  declareSkillsCheck(skills, cli);
  declareSkillsAdd(skills, cli);
  declareSkillsEnable(skills, cli);
  declareSkillsDisable(skills, cli);
  declareSkillsRemove(skills, cli);
};
