import { SKILL_FILE, type BundleFile } from "./bundle-file.ts";

/** A SKILL.md, taken apart. */
export interface SkillText {
  /** What stands between the two `---`. It begins at line 2 of the file. */
  frontMatter: string;
  /** What comes after, without blank lines around it. */
  body: string;
}

/** Why a SKILL.md can't be taken apart. */
export interface SkillTextProblem {
  line: number;
  message: string;
  hint: string;
}

const FENCE = /^---[ \t]*$/;
const HOW = "begin SKILL.md with a line ---, then name and description, then another line ---";

/** Takes a SKILL.md apart. A byte order mark and lines that end with CR LF are fine. */
export function readSkillText(content: Uint8Array): SkillText | SkillTextProblem {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    return { line: 0, message: "the file is not valid UTF-8", hint: "save it as UTF-8" };
  }
  const lines = text.split(/\r?\n/);
  if (!FENCE.test(lines[0] ?? "")) return { line: 1, message: "the file has no front matter", hint: HOW };
  const end = lines.findIndex((line, index) => index > 0 && FENCE.test(line));
  if (end < 0) return { line: 1, message: "the front matter has no end", hint: "add a line --- after it" };
  return {
    frontMatter: lines.slice(1, end).join("\n"),
    body: lines
      .slice(end + 1)
      .join("\n")
      .trim(),
  };
}

/** The text of SKILL.md after the front matter, without blank lines around it. Empty when there is no such file, or it can't be read. */
export function skillBody(files: readonly BundleFile[]): string {
  const file = files.find(({ path }) => path === SKILL_FILE);
  const text = file === undefined ? undefined : readSkillText(file.content);
  return text !== undefined && "body" in text ? text.body : "";
}
