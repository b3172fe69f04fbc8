import { randomUUID } from "node:crypto";
import { chmod, lstat, mkdir, open, readdir, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { assertWritable } from "./pack-bundle.ts";
import type { BundleFile } from "./bundle-file.ts";

const DIRECTORY_MODE = 0o555;
const FILE_MODE = 0o444;
const EXECUTABLE_MODE = 0o555;
/** How many files are written side by side. */
const AT_ONCE = 16;

/**
 * Writes files, read-only, under a folder that does not exist yet; its parent does. They are made in a folder beside it (`.<name>.<uuid>`),
 * flushed to disk, and renamed: the folder is there whole or not at all. Throws BUNDLE_DAMAGED for a path that is not
 * allowed, before anything is written; what the file system says, EEXIST too, goes through, and nothing is left behind.
 */
export async function writeBundle(directory: string, files: readonly BundleFile[]): Promise<void> {
  assertWritable(files, JSON.stringify(basename(directory)));
  const parent = dirname(directory);
  const beside = join(parent, `.${basename(directory)}.${randomUUID()}`);
  try {
    await mkdir(beside, { mode: 0o700 });
    const folders = foldersOf(files);
    for (const folder of folders) await mkdir(join(beside, folder), { mode: 0o700 });
    for (let from = 0; from < files.length; from += AT_ONCE) {
      await Promise.all(files.slice(from, from + AT_ONCE).map((file) => writeFile(join(beside, file.path), file)));
    }
    // The deepest first: a folder that is read-only takes no more entries.
    for (const folder of [...folders.toReversed(), "."]) await seal(join(beside, folder));
    await assertAbsent(directory);
    await rename(beside, directory);
  } catch (error) {
    await removeBundle(beside);
    throw error;
  }
  await withHandle(await open(parent, "r"), (handle) => handle.sync());
}

/** Removes a folder that writeBundle made, or whatever else is there; a symbolic link goes, what it points at stays. Nothing there is fine. */
export async function removeBundle(directory: string): Promise<void> {
  const stats = await lstat(directory).catch(() => undefined);
  if (stats === undefined) return;
  if (stats.isDirectory()) await unseal(directory);
  await rm(directory, { recursive: true, force: true });
}

async function writeFile(path: string, { content, executable }: BundleFile): Promise<void> {
  await withHandle(await open(path, "wx", 0o600), async (handle) => {
    await handle.writeFile(content);
    await handle.chmod(executable ? EXECUTABLE_MODE : FILE_MODE);
    await handle.sync();
  });
}

async function seal(path: string): Promise<void> {
  await withHandle(await open(path, "r"), async (handle) => {
    await handle.chmod(DIRECTORY_MODE);
    await handle.sync();
  });
}

async function withHandle(handle: FileHandle, work: (handle: FileHandle) => Promise<void>): Promise<void> {
  try {
    await work(handle);
  } finally {
    await handle.close();
  }
}

/** Makes a tree of folders writable by its owner, so that it can be removed. */
async function unseal(directory: string): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await unseal(join(directory, entry.name));
  }
}

/** A rename takes the place of an empty folder without a word. */
async function assertAbsent(directory: string): Promise<void> {
  const stats = await lstat(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (stats === undefined) return;
  throw Object.assign(new Error(`EEXIST: file already exists, '${directory}'`), { code: "EEXIST" });
}

/** All folders of the files, each after the one it lies in. */
function foldersOf(files: readonly BundleFile[]): string[] {
  const folders = new Set<string>();
  for (const { path } of files) {
    const parts = path.split("/").slice(0, -1);
    for (const [index] of parts.entries()) folders.add(parts.slice(0, index + 1).join("/"));
  }
  return [...folders];
}
