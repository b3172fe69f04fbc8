import { MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES, type BundleFile } from "@openhermit/skill-bundle";
import { CliError } from "../cli-error.ts";

/** What tools leave behind; never part of a skill. */
const LEFT_OUT = new Set([".git", ".DS_Store", "node_modules", "__pycache__", "__MACOSX"]);
/** Folders and what is left out count too: more than any skill has, and no long wait. */
const MAX_ENTRIES = 10_000;

/** The files of a skill while they are being read, with the limits that hold then. */
export interface SkillCollection {
  /**
   * The path that an entry has in the skill; undefined when it is left out. Throws CliError for a name that leads out of
   * the skill, and after 10,000 entries.
   */
  place(name: string): string | undefined;
  /**
   * Reads a file to its end, and keeps it. Throws CliError when it stands there already, when it would be the 1,001st
   * file, and as soon as all files together are over 10 MiB.
   */
  add(path: string, file: { chunks: AsyncIterable<Uint8Array>; size: number; executable: boolean }): Promise<void>;
  /** What was collected, in no order. */
  files(): BundleFile[];
}

/** An empty collection of what is read from `source`, a path for messages. */
export function createSkillCollection(source: string): SkillCollection {
  const files = new Map<string, BundleFile>();
  let entries = 0;
  let bytes = 0;
  const tooLarge = (path: string): CliError =>
    new CliError(`the skill ${source} is too large`, {
      why: `with ${path} its files are more than 10 MiB together`,
      next: "leave out what the agent does not need, or put it where the agent can fetch it",
    });
  return {
    place(name) {
      if (++entries > MAX_ENTRIES) throw tooMany(source, MAX_ENTRIES, "entries");
      if (/^([/\\]|[A-Za-z]:[/\\])/.test(name)) throw refusedEntry(source, name, "has an absolute path");
      const parts = name.split("/").filter((part) => part !== "" && part !== ".");
      if (parts.includes("..")) throw refusedEntry(source, name, "leads out of the skill");
      // Beside each file, macOS packs its attributes as ._file.
      if (parts.length === 0 || parts.some((part) => LEFT_OUT.has(part) || part.startsWith("._"))) return undefined;
      return parts.join("/");
    },
    async add(path, { chunks, size, executable }) {
      if (files.has(path)) throw refusedEntry(source, path, "stands in it twice");
      if (files.size >= MAX_BUNDLE_FILES) throw tooMany(source, MAX_BUNDLE_FILES, "files");
      // What the archive says of itself is believed only when it speaks against it.
      if (bytes + size > MAX_BUNDLE_BYTES) throw tooLarge(path);
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) {
        bytes += chunk.length;
        if (bytes > MAX_BUNDLE_BYTES) throw tooLarge(path);
        parts.push(chunk);
      }
      files.set(path, { path, content: Buffer.concat(parts), executable });
    },
    files: () => [...files.values()],
  };
}

/** The error of an entry that no skill may have. */
export function refusedEntry(source: string, name: string, what: string): CliError {
  return new CliError(`${source} can't be used as a skill`, {
    why: `${JSON.stringify(name)} ${what}`,
    next: "a skill holds plain files and folders; take the entry out and try again",
  });
}

/** The error of what can't be read to its end. */
export function unreadable(source: string, why: string, next?: string, cause?: unknown): CliError {
  return new CliError(`the skill ${source} can't be read`, { why, next, cause });
}

const tooMany = (source: string, limit: number, what: string): CliError =>
  new CliError(`the skill ${source} has too many ${what}`, {
    why: `at most ${limit.toLocaleString("en")}`,
    next: "name the skill's own folder, the one with SKILL.md in it",
  });
