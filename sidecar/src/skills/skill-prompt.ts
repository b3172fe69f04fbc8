/** A skill as the model sees it before it opens it. */
export interface DescribedSkill {
  readonly id: string;
  readonly description: string;
  /** The absolute path of its SKILL.md in the workspace. */
  readonly location: string;
}

/** The section of the system prompt that names the skills, in the format of the Agent Skills guide for clients. */
export function skillPrompt(skills: readonly DescribedSkill[]): string {
  const items = skills.flatMap(({ id, description, location }) => [
    "  <skill>",
    `    <name>${escape(id)}</name>`,
    `    <description>${escape(description)}</description>`,
    `    <location>${escape(location)}</location>`,
    "  </skill>",
  ]);
  return [
    "The following skills give you instructions for specific tasks. When a task matches a skill's description, call the tool " +
      '`skill` with the skill\'s name, {"name": "…"}, to read its instructions before you begin. They may refer to other files of ' +
      'the skill: read those with {"name": "…", "file": "…"}. Relative paths are relative to the folder of its SKILL.md.',
    "",
    "<available_skills>",
    ...items,
    "</available_skills>",
  ].join("\n");
}

/** A description is somebody's text: it must not end the list it stands in. */
function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
