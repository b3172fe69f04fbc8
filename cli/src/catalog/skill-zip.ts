import { crc32 } from "node:zlib";
import type { Entry, ZipFile } from "yauzl";
import { CliError } from "../cli-error.ts";
import { refusedEntry, unreadable, type SkillCollection } from "./skill-collection.ts";

/** Where the upper half of the attributes is a Unix mode: made on Unix, on macOS. */
const UNIX = new Set([3, 19]);
const TYPE = 0o170000;
const FOLDER = 0o040000;
const FILE = 0o100000;
const LINK = 0o120000;

/** Reads a zip archive into the collection. Throws CliError for an archive that is damaged, encrypted or holds links. */
export async function collectZip(source: string, file: string, collection: SkillCollection): Promise<void> {
  const { default: yauzl } = await import("yauzl");
  let zip: ZipFile | undefined;
  try {
    // Names are decoded below, where the error can say which one it is.
    zip = await yauzl.openPromise(file, { decodeStrings: false, autoClose: false });
    for await (const entry of zip.eachEntry()) {
      const { generalPurposeBitFlag, fileNameRaw, extraFields } = entry;
      const name = yauzl.getFileNameLowLevel(generalPurposeBitFlag, fileNameRaw, extraFields, false);
      await collectEntry({ source, zip, entry, name, collection });
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw unreadable(source, `it is no zip archive, or a damaged one: ${words}`, "pack it again", error);
  } finally {
    zip?.close();
  }
}

async function collectEntry(options: {
  source: string;
  zip: ZipFile;
  entry: Entry;
  name: string;
  collection: SkillCollection;
}): Promise<void> {
  const { source, zip, entry, name, collection } = options;
  const path = collection.place(name);
  if (path === undefined) return;
  const mode = UNIX.has(entry.versionMadeBy >>> 8) ? entry.externalFileAttributes >>> 16 : 0;
  const type = mode & TYPE;
  if (type === LINK) throw refusedEntry(source, name, "is a link");
  if (type !== 0 && type !== FILE && type !== FOLDER)
    throw refusedEntry(source, name, "is neither a file nor a folder");
  if (type === FOLDER || name.endsWith("/")) return;
  if (entry.isEncrypted()) {
    throw unreadable(source, `${name} is encrypted`, "pack it again without a password");
  }
  if (!entry.canDecodeFileData()) {
    const why = `${name} is compressed by method ${entry.compressionMethod}, which is not known here`;
    throw unreadable(source, why, "pack it again with deflate, as zip does");
  }
  const stream = await zip.openReadStreamPromise(entry);
  try {
    const chunks = checked(stream as AsyncIterable<Buffer>, entry);
    await collection.add(path, { chunks, size: entry.uncompressedSize, executable: (mode & 0o111) !== 0 });
  } finally {
    stream.destroy();
  }
}

/** The content, whose checksum the reader does not look at. */
async function* checked(chunks: AsyncIterable<Buffer>, entry: Entry): AsyncGenerator<Buffer> {
  let sum = 0;
  for await (const chunk of chunks) {
    sum = crc32(chunk, sum);
    yield chunk;
  }
  if (sum !== entry.crc32) throw new Error("a checksum is wrong");
}
