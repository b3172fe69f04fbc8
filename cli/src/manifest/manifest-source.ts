import { closeSync, openSync, readdirSync, readSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { isUtf8 } from "node:buffer";
import type { Readable } from "node:stream";
import { CliError } from "../cli-error.ts";

/** One file of a manifest as read. */
export interface ManifestText {
  /** For messages: relative to the working folder where that is shorter. No two of a manifest are the same. */
  readonly name: string;
  readonly text: string;
  /** The absolute folder that relative paths in it refer to. */
  readonly baseDirectory: string;
}

/** What -f named: files that are read as one manifest. */
export interface ManifestSource {
  /** What was named, for messages: `agents.yaml`, `fleet/` or `3 files`. */
  readonly label: string;
  /** Whether one file or folder was named. */
  readonly isSingle: boolean;
  /** The flags that name it again: `-f agents.yaml`. */
  readonly flags: string;
  /** The verb that reads it. */
  readonly verb: string;
  readonly files: readonly ManifestText[];
}

const MIB = 1024 * 1024;
const MAX_FILE_BYTES = MIB;
const MAX_BYTES = 3 * MIB;
const MAX_FILES = 100;
const EXTENSION = /\.(ya?ml|json)$/i;

/**
 * Reads the files and folders that were named, `-` from stdin. Of a folder its .yaml, .yml and .json files in the order of
 * their names, and not those of folders in it. What is named twice is read once. Throws CliError for what can't be read and
 * for what the gateway would not take.
 */
export async function readManifestSource(
  verb: string,
  stdin: Readable & { isTTY?: boolean },
  paths: readonly string[],
): Promise<ManifestSource> {
  const files = new Map<string, ManifestText>();
  for (const path of paths) {
    if (path === "-") files.set("-", files.get("-") ?? (await readStdin(stdin)));
    else if (isFolder(path)) for (const file of filesOf(path)) addFile(files, join(path, file));
    else addFile(files, path);
  }
  const bytes = [...files.values()].reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  const next = "split it by what belongs together, and apply each part";
  if (files.size > MAX_FILES)
    throw new CliError(`${files.size} files are too many for one manifest`, { why: `at most ${MAX_FILES}`, next });
  if (bytes > MAX_BYTES)
    throw new CliError(`the manifest is too long: ${mebibytes(bytes)} in ${files.size} files`, {
      why: "at most 3 MiB together",
      next,
    });
  const [only, ...others] = paths;
  const isSingle = others.length === 0 && only !== undefined;
  return {
    isSingle,
    label: isSingle ? labelOf(only) : `${files.size} files`,
    flags: paths.map((path) => `-f ${quoted(path)}`).join(" "),
    verb,
    files: [...files.values()],
  };
}

function labelOf(path: string): string {
  if (path === "-") return "stdin";
  const short = shortPath(path);
  if (short === ".") return "this folder";
  return isFolder(path) ? `${short}/` : short;
}

function addFile(files: Map<string, ManifestText>, path: string): void {
  const place = realPath(path);
  if (!files.has(place)) files.set(place, readFile(path, place));
}

function readFile(path: string, place: string): ManifestText {
  let bytes: Buffer;
  try {
    // A device or a pipe has no size of its own.
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES) throw tooLong(path, size);
    bytes = readBeginning(path);
  } catch (error) {
    throw error instanceof CliError ? error : unreadable(path, error);
  }
  return { name: shortPath(path), text: textOf(path, bytes), baseDirectory: dirname(place) };
}

/** A byte more than a file may have, at most. */
function readBeginning(path: string): Buffer {
  const descriptor = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read)
      read = readSync(descriptor, buffer, length, buffer.length - length, null);
    return buffer.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}

async function readStdin(stdin: Readable): Promise<ManifestText> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin as AsyncIterable<Buffer | string>) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_FILE_BYTES) throw tooLong("stdin");
    chunks.push(bytes);
  }
  return { name: "stdin", text: textOf("stdin", Buffer.concat(chunks)), baseDirectory: process.cwd() };
}

function textOf(name: string, bytes: Buffer): string {
  if (bytes.length > MAX_FILE_BYTES) throw tooLong(name);
  if (!isUtf8(bytes))
    throw new CliError(`the manifest ${name} is not text`, { why: "its bytes are no UTF-8", next: "save it as UTF-8" });
  // The contract takes no empty text; a line end says as little, and the gateway tells what is missing.
  return bytes.length === 0 ? "\n" : bytes.toString("utf8");
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function filesOf(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && !entry.name.startsWith(".") && EXTENSION.test(entry.name))
      .map(({ name }) => name)
      .toSorted();
  } catch (error) {
    throw unreadable(folder, error);
  }
  if (names.length > 0) return names;
  throw new CliError(`the folder ${folder} has no manifest in it`, {
    why: "it has no file that ends in .yaml, .yml or .json; folders in it are not looked into",
    next: "name a file, or the folder that holds the files",
  });
}

/** The file behind all links. A pipe, as a shell makes for `<(…)`, lies in no folder, so it counts as one of this. */
function realPath(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    return absolute.startsWith("/dev/") ? join(process.cwd(), basename(absolute)) : absolute;
  }
}

function unreadable(path: string, error: unknown): CliError {
  const { code } = error as NodeJS.ErrnoException;
  const why =
    code === "ENOENT" ? "it does not exist" : code === "EACCES" ? "you may not read it" : String(code ?? error);
  return new CliError(`${path} can't be read`, {
    why,
    next: "name a file that exists, or - for stdin",
    cause: error,
  });
}

/** `bytes`: how long, where it is known; not more of a stream is read than it takes to see that it is too much. */
const tooLong = (path: string, bytes?: number): CliError =>
  new CliError(`the manifest ${path} is too long${bytes === undefined ? "" : `: ${mebibytes(bytes)}`}`, {
    why: "at most 1 MiB a file",
    next: "split it: several files are read as one, and -f takes a folder too",
  });

const mebibytes = (bytes: number): string => `${(Math.ceil((bytes / MIB) * 10) / 10).toFixed(1)} MiB`;

/** The path from the working folder, or as it is when that leads out of it. */
export function shortPath(path: string): string {
  const absolute = resolve(path);
  const short = relative(process.cwd(), absolute);
  return short === "" ? "." : short.startsWith("..") ? absolute : short;
}

/** A word as a shell takes it. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
