import { createHash } from "node:crypto";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES, type BundleFile } from "@openhermit/skill-bundle";

/** What is known of a file without reading it. */
export interface FileFacts {
  readonly bytes: number;
  readonly executable: boolean;
  /** Of the content, hexadecimal. */
  readonly sha256: string;
}

/** The files of a bundle by path, in the order of their paths. */
export type FileIndex = ReadonlyMap<string, FileFacts>;

/** The facts of each file. */
export function indexOf(files: readonly BundleFile[]): FileIndex {
  return new Map(
    files.map(({ path, content, executable }) => [path, { bytes: content.length, executable, sha256: hash(content) }]),
  );
}

/** Reads one file of a bundle's folder. Throws when it is not what the index says: what a model reads is what the digest names. */
export async function readFileOf(directory: string, path: string, { sha256 }: FileFacts): Promise<Buffer> {
  const content = await readFile(join(directory, path));
  if (hash(content) !== sha256) throw new Error(`the file "${path}" was changed on this disk`);
  return content;
}

/**
 * The files of a folder as writeBundle leaves it. Undefined when there is none, and when anything in it is otherwise: another
 * mode, a link, an empty folder, more or larger files than a bundle has. Whether they are the right ones says their digest.
 */
export async function readFolder(directory: string): Promise<BundleFile[] | undefined> {
  const files: BundleFile[] = [];
  let bytes = 0;
  const walk = async (prefix: string): Promise<boolean> => {
    const folder = join(directory, prefix);
    const stats = await lstat(folder);
    if (!stats.isDirectory() || (stats.mode & 0o777) !== 0o555) return false;
    const names = await readdir(folder);
    if (names.length === 0) return false;
    for (const name of names) {
      const path = prefix === "" ? name : `${prefix}/${name}`;
      const file = await lstat(join(directory, path));
      const mode = file.mode & 0o777;
      if (file.isDirectory()) {
        if (!(await walk(path))) return false;
        continue;
      }
      bytes += file.size;
      if (!file.isFile() || (mode !== 0o444 && mode !== 0o555)) return false;
      if (files.length >= MAX_BUNDLE_FILES || bytes > MAX_BUNDLE_BYTES) return false;
      files.push({ path, content: await readFile(join(directory, path)), executable: mode === 0o555 });
    }
    return true;
  };
  try {
    return (await walk("")) ? files : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function hash(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
