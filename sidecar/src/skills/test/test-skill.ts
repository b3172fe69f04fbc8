import { packBundle, type BundleFile } from "@openhermit/skill-bundle";

/** A skill with its bundle. */
export interface TestSkill {
  readonly id: string;
  readonly description: string;
  readonly files: readonly BundleFile[];
  readonly data: Uint8Array;
  readonly digest: string;
}

/** Makes a skill: SKILL.md with a body, and other files, of which those that end in `.sh` can be run. */
export function testSkill(
  id: string,
  options: { body?: string; description?: string; files?: Record<string, string | Uint8Array> } = {},
): TestSkill {
  const { body = `How to ${id}.`, description = `Use it to ${id}.`, files: others = {} } = options;
  const contents = {
    "SKILL.md": `---\nname: ${id}\ndescription: ${JSON.stringify(description)}\n---\n\n${body}\n`,
    ...others,
  };
  const files = Object.entries(contents).map(([path, content]) => ({
    path,
    content: typeof content === "string" ? Buffer.from(content) : content,
    executable: path.endsWith(".sh"),
  }));
  return { id, description, files, ...packBundle(files) };
}

/** The skill as a snapshot names it. */
export function named({ id, description, digest, files }: TestSkill) {
  return { id, description, digest, sizeBytes: BigInt(files.reduce((sum, { content }) => sum + content.length, 0)) };
}
