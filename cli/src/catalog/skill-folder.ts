import { constants, type Dirent } from "node:fs";
import { open, readdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { MAX_BUNDLE_BYTES } from "@openhermit/skill-bundle";
import { refusedEntry, unreadable, type SkillCollection } from "./skill-collection.ts";

/** Reads a folder into the collection. Throws CliError for links, special files and what can't be read. */
export async function collectFolder(source: string, root: string, collection: SkillCollection): Promise<void> {
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await entriesOf(source, root, folder)) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      const path = collection.place(name);
      if (path === undefined) continue;
      if (entry.isDirectory()) folders.push(name);
      else await collectFile({ source, name, path, root, collection, entry });
    }
  }
}

async function entriesOf(source: string, root: string, folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    // So that of two problems always the same one is told.
    return entries.toSorted((one, other) => (one.name < other.name ? -1 : 1));
  } catch (error) {
    throw unreadable(source, `${folder === "" ? "the folder" : folder}: ${codeOf(error)}`, undefined, error);
  }
}

async function collectFile(options: {
  source: string;
  name: string;
  path: string;
  root: string;
  collection: SkillCollection;
  entry: Dirent;
}): Promise<void> {
  const { source, name, path, root, collection, entry } = options;
  if (entry.isSymbolicLink()) throw refusedEntry(source, name, "is a link");
  if (!entry.isFile()) throw refusedEntry(source, name, "is neither a file nor a folder");
  let file: FileHandle;
  try {
    // What was a file a moment ago may be a link or a pipe by now.
    file = await open(join(root, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(source, `${name}: ${codeOf(error)}`, undefined, error);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw refusedEntry(source, name, "is neither a file nor a folder");
    const executable = (stat.mode & 0o111) !== 0;
    await collection.add(path, { chunks: chunksOf(file), size: stat.size, executable });
  } finally {
    await file.close();
  }
}

/** At most one byte more than a skill may have, also of a file that grows. */
function chunksOf(file: FileHandle): AsyncIterable<Uint8Array> {
  return file.createReadStream({ start: 0, end: MAX_BUNDLE_BYTES, autoClose: false }) as AsyncIterable<Buffer>;
}

function codeOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EACCES" ? "it may not be read" : code === "ELOOP" ? "it is a link" : String(code ?? error);
}
