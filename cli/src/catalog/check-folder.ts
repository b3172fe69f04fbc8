import { realpath, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { BundleFile, SkillProblem } from "@openhermit/skill-bundle";
import type { SkillDescription } from "@openhermit/protocol/catalog/v1/skill";
import { CliError } from "../cli-error.ts";
import { readSkill } from "./read-skill.ts";

/** A skill as it stands in a folder or an archive, and all that is wrong with it. */
export interface CheckedSkill {
  readonly files: readonly BundleFile[];
  readonly problems: readonly SkillProblem[];
  /** There when there is no problem. */
  readonly description: SkillDescription | undefined;
  readonly digest: string;
  readonly data: Uint8Array;
  /** All files together. */
  readonly sizeBytes: number;
}

/** Reads and checks a skill. A folder has to be called like the skill, an archive not. Throws CliError for what can't be read. */
export async function checkFolder(path: string): Promise<CheckedSkill> {
  const files = await readSkill(path);
  const isFolder = (await stat(path)).isDirectory();
  const { checkSkill, packBundle } = await import("@openhermit/skill-bundle");
  const { problems, description } = checkSkill(files, isFolder ? basename(await realpath(path)) : undefined);
  const sizeBytes = files.reduce((sum, { content }) => sum + content.length, 0);
  return { files, problems, description, ...packBundle(files), sizeBytes };
}

/** A problem as a line: `SKILL.md:3: unknown key "nmae"; did you mean "name"?`. */
export function problemLine({ path, line, message, hint }: SkillProblem): string {
  const place = path === "" ? "" : line > 0 ? `${path}:${line}: ` : `${path}: `;
  return `${place}${message}${hint === "" ? "" : `; ${hint}`}`;
}

/** The error of a folder that is no skill, with every problem. */
export function noSkill(path: string, problems: readonly SkillProblem[]): CliError {
  return new CliError(`${path} is no skill as it stands`, {
    why: problems.map(problemLine).join("\n"),
    next: `mend it and look again: bin/hermit skills check ${path}`,
  });
}
