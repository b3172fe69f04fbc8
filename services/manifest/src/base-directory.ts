import { isAbsolute, resolve } from "node:path";
import type { ManifestPath } from "./manifest-node.ts";
import type { ProblemList } from "./problem-list.ts";

/**
 * A command or argument that begins with `./` or `../`, as an absolute path from the folder of its file; anything else
 * as it stands, except that `$./` stands for a literal `./`. The folder is the client's: nothing is looked up on disk here.
 *
 * @param written the value as it stands in the file, for problems: what came from variables is not told.
 */
export function resolvePath(
  value: string,
  written: string,
  baseDirectory: string,
  path: ManifestPath,
  problems: ProblemList,
): string {
  if (/^\$+\.\.?\//.test(value)) return value.slice(1);
  if (!/^\.\.?\//.test(value)) return value;
  if (isAbsolute(baseDirectory)) return resolve(baseDirectory, value);
  problems.add(
    path,
    `"${written.slice(0, 80)}" is relative, and the manifest came without a folder`,
    "write an absolute path",
  );
  return value;
}

/** The text that reads back as the value where relative paths are resolved. */
export function escapePath(value: string): string {
  return /^\$*\.\.?\//.test(value) ? `$${value}` : value;
}
