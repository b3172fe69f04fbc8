import { isAbsolute, resolve } from "node:path";
import type { ManifestPath } from "./manifest-document.ts";
import type { ProblemList } from "./problem-list.ts";

/**
 * A command or argument that begins with `./` or `../`, as an absolute path from the manifest's own folder;
 * anything else as it stands. The folder is the client's: nothing is looked up on disk here.
 */
export function resolvePath(value: string, baseDirectory: string, path: ManifestPath, problems: ProblemList): string {
  if (!/^\.\.?\//.test(value)) return value;
  if (isAbsolute(baseDirectory)) return resolve(baseDirectory, value);
  problems.add(
    path,
    `"${value.slice(0, 80)}" is relative, and the manifest came without a folder`,
    "write an absolute path",
  );
  return value;
}
