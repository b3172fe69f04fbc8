/** One file of a bundle, as `BundleFile` of catalog/v1/skill says. */
export interface BundleFile {
  /** Its path in the folder, parts divided by `/`. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly executable: boolean;
}

/** What is wrong with a folder that should be a skill. */
export interface SkillProblem {
  /** The file it is about, as a path in the folder; empty for the folder as a whole. */
  readonly path: string;
  /** The line in that file, from 1; 0 where there is none. */
  readonly line: number;
  /** What is wrong, as a sentence without a full stop. */
  readonly message: string;
  /** What to do about it; may be empty. */
  readonly hint: string;
}

/** The most bytes that the files of a bundle have together. */
export const MAX_BUNDLE_BYTES = 10 * 1024 * 1024;
/** The most files of a bundle. */
export const MAX_BUNDLE_FILES = 1000;
/** The file that makes a folder a skill; upper and lower case as here. */
export const SKILL_FILE = "SKILL.md";
