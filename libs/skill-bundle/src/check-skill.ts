import type { SkillDescription } from "@openhermit/protocol/catalog/v1/skill";
import { SKILL_FILE, type BundleFile, type SkillProblem } from "./bundle-file.ts";
import { folderProblems } from "./folder-problems.ts";
import { readFrontMatter } from "./front-matter.ts";
import { readSkillText } from "./skill-text.ts";

/**
 * Whether files are a skill: every problem of their number, sizes and paths, and of SKILL.md by the specification of Agent
 * Skills (agentskills.io/specification). `name` is what the skill must be called: its folder. The description is there only
 * when there is no problem.
 */
export function checkSkill(
  files: readonly BundleFile[],
  name?: string,
): { problems: SkillProblem[]; description?: SkillDescription } {
  const problems = folderProblems(files);
  const file = files.find(({ path }) => path === SKILL_FILE);
  if (file === undefined) {
    const like = files.find(({ path }) => path.toLowerCase() === SKILL_FILE.toLowerCase());
    const hint = like === undefined ? "name the folder that holds it" : `rename ${like.path} to ${SKILL_FILE}`;
    problems.push({ path: "", line: 0, message: `the folder has no ${SKILL_FILE}`, hint });
    return { problems };
  }
  const text = readSkillText(file.content);
  if (!("body" in text)) {
    problems.push({ path: SKILL_FILE, ...text });
    return { problems };
  }
  const read = readFrontMatter(text.frontMatter, name);
  problems.push(...read.problems.map((problem) => ({ path: SKILL_FILE, ...problem })));
  return problems.length > 0 ? { problems } : { problems, description: read.description };
}
