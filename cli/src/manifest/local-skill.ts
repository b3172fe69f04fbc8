import { resolve } from "node:path";
import type { BundleFile } from "@openhermit/skill-bundle";
import { readSkill } from "../catalog/read-skill.ts";
import { CliError } from "../cli-error.ts";
import { shortPath, type ManifestText } from "./manifest-source.ts";
import type { PlacedProblem } from "./manifest-problems.ts";

/** A skill that a manifest names by its path. */
export interface LocalSkill {
  readonly id: string;
  /** Absolute. */
  readonly path: string;
  /** Of its files as they were read. */
  readonly digest: string;
}

/**
 * Reads and checks a skill. Its files are not kept, since a fleet may have many: they are read again when they are needed.
 * What is wrong with them stands in `problems`.
 */
export async function readLocalSkill(
  file: ManifestText,
  named: { id: string; path: string; line: number; column: number },
  problems: PlacedProblem[],
): Promise<LocalSkill | undefined> {
  const { id, path, line, column } = named;
  const absolute = resolve(file.baseDirectory, path);
  const place = { path: `skills.${id}.path` };
  let files: BundleFile[];
  try {
    files = await readSkill(absolute);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const message = error.why === undefined ? error.message : `${error.message}: ${error.why}`;
    problems.push({ ...place, fileName: file.name, line, column, message, hint: error.next ?? "" });
    return undefined;
  }
  const { checkSkill, packBundle } = await import("@openhermit/skill-bundle");
  const checked = checkSkill(files, id);
  for (const problem of checked.problems) {
    const { message, hint } = problem;
    if (problem.path === "") problems.push({ ...place, fileName: file.name, line, column, message, hint });
    else {
      const fileName = `${shortPath(absolute)}/${problem.path}`;
      const source = files.find((one) => one.path === problem.path);
      const text = source === undefined ? undefined : Buffer.from(source.content).toString("utf8");
      problems.push({ path: "", fileName, line: problem.line, column: 0, message, hint, text });
    }
  }
  if (checked.problems.length > 0) return undefined;
  return { id, path: absolute, digest: packBundle(files).digest };
}

/** The files of a skill once more. Throws CliError when they are no longer those of its digest. */
export async function readAgain({ id, path, digest }: LocalSkill): Promise<BundleFile[]> {
  const files = await readSkill(path);
  const { packBundle } = await import("@openhermit/skill-bundle");
  if (packBundle(files).digest === digest) return files;
  throw new CliError(`skill ${id} has changed since the plan was made; nothing was applied`, {
    why: `somebody, or something, writes into ${shortPath(path)}`,
    next: "apply again once it is done",
  });
}
