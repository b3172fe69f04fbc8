import { MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES, type BundleFile, type SkillProblem } from "./bundle-file.ts";

const MAX_PATH_BYTES = 1024;
const MAX_PART_BYTES = 255;
/** Each folder is made, flushed and removed on its own, in every agent's workspace. */
const MAX_FOLDERS = 1000;

/** What is wrong with the number, the sizes and the paths of files; the rules are those of `Bundle` and `BundleFile` in catalog/v1/skill. */
export function folderProblems(files: readonly BundleFile[]): SkillProblem[] {
  const problems: SkillProblem[] = [];
  const add = (path: string, message: string, hint: string): void => {
    problems.push({ path, line: 0, message, hint });
  };
  if (files.length > MAX_BUNDLE_FILES) {
    add(
      "",
      `the folder has ${files.length.toLocaleString("en")} files, and a skill has at most ${MAX_BUNDLE_FILES.toLocaleString("en")}`,
      "leave out what the agent does not read",
    );
  }
  const bytes = files.reduce((sum, file) => sum + file.content.length, 0);
  if (bytes > MAX_BUNDLE_BYTES) {
    const largest = files.reduce((one, other) => (other.content.length > one.content.length ? other : one));
    add(
      "",
      `the files have ${megabytes(bytes)} together, and a skill has at most ${megabytes(MAX_BUNDLE_BYTES)}`,
      `the largest is ${JSON.stringify(largest.path)} with ${megabytes(largest.content.length)}`,
    );
  }
  const seen = new Map<string, string>();
  for (const { path } of files) {
    const message = pathProblem(path);
    if (message !== undefined) add(path, message, "rename the file");
    const key = fold(path);
    const twin = seen.get(key);
    if (twin === path) add(path, "the path stands twice", "leave one of them out");
    else if (twin !== undefined) add(path, `differs from "${twin}" in upper and lower case only`, "rename one of them");
    else seen.set(key, path);
  }
  const folders = new Set<string>();
  for (const { path } of files) {
    // The deepest first: what lies around a folder that is known is known too.
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const folder = path.slice(0, end);
      if (folders.has(folder)) break;
      folders.add(folder);
      if (folders.size > MAX_FOLDERS) {
        add("", `the files lie in more than ${MAX_FOLDERS.toLocaleString("en")} folders`, "put them side by side");
        return problems;
      }
    }
  }
  for (const folder of folders) {
    const file = seen.get(fold(folder));
    if (file === undefined) continue;
    const inside = files.find(({ path }) => path.startsWith(`${folder}/`))?.path ?? folder;
    add(inside, `stands in "${file}", which is a file`, "rename one of them");
  }
  return problems;
}

/** Why a path is not allowed, as what can follow the path in a sentence; undefined when it is. */
function pathProblem(path: string): string | undefined {
  if (path === "") return "the path is empty";
  if (!path.isWellFormed()) return "the path is not valid Unicode";
  if (/\p{Cc}/u.test(path)) return "the path has a control character";
  if (path.includes("\\")) return "the path has a backslash";
  if (path.startsWith("/")) return "the path is absolute";
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `the path has more than ${MAX_PATH_BYTES} bytes`;
  for (const part of path.split("/")) {
    if (part === "") return "the path has an empty part";
    if (part === "." || part === "..") return `the path has the part "${part}"`;
    if (Buffer.byteLength(part) > MAX_PART_BYTES) return `the path has a part of more than ${MAX_PART_BYTES} bytes`;
  }
  return undefined;
}

/** What a file system that does not tell upper from lower case takes for the same name. */
function fold(path: string): string {
  return path.normalize("NFC").toLowerCase();
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;
}
