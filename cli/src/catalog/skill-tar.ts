import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { open } from "node:fs/promises";
import type { Parser, ReadEntry } from "tar";
import { CliError } from "../cli-error.ts";
import { refusedEntry, unreadable, type SkillCollection } from "./skill-collection.ts";

/** How much an archive may expand to, with all that is left out of it. */
const MAX_EXPANDED_BYTES = 64 * 1024 * 1024;
const FILES = new Set(["File", "OldFile", "ContiguousFile"]);
const FOLDERS = new Set(["Directory", "GNUDumpDir"]);
const LINKS = new Set(["Link", "SymbolicLink"]);

/** Reads a tar archive, also one packed with gzip, into the collection. Throws CliError for a damaged one and for links. */
export async function collectTar(source: string, file: string, collection: SkillCollection): Promise<void> {
  const tar = await import("tar");
  const input = createReadStream(file);
  const gunzip = (await isGzip(file)) ? createGunzip() : undefined;
  let failed: { error: unknown } | undefined;
  const failure = Promise.withResolvers<void>();
  const fail = (error: unknown): void => {
    failed ??= { error };
    failure.resolve();
  };
  // One after the other: the parser goes on to the next entry a moment before this one is kept.
  let collected = Promise.resolve();
  const parser = new tar.Parser({
    strict: true,
    onReadEntry: (entry) => {
      collected = collected.then(() => collectEntry(source, entry, collection)).catch(fail);
    },
  });
  parser.on("error", fail);
  // Of kinds that are not known, and of names longer than any file has.
  parser.on("ignoredEntry", (entry: ReadEntry) =>
    fail(refusedEntry(source, entry.path, `is of the kind ${entry.type}`)),
  );
  try {
    if (gunzip) input.on("error", (error) => gunzip.destroy(error)).pipe(gunzip);
    let bytes = 0;
    for await (const chunk of (gunzip ?? input) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_EXPANDED_BYTES) throw expandsTooFar(source);
      if (!parser.write(chunk)) await Promise.race([eventOf(parser, "drain"), failure.promise]);
      if (failed) break;
    }
    if (!failed) {
      const ended = eventOf(parser, "end");
      parser.end();
      await Promise.race([ended, failure.promise]);
      await Promise.race([collected, failure.promise]);
    }
  } catch (error) {
    fail(error);
  } finally {
    input.destroy();
    gunzip?.destroy();
  }
  if (failed) throw toCliError(source, failed.error);
}

async function collectEntry(source: string, entry: ReadEntry, collection: SkillCollection): Promise<void> {
  const { path: name, type, size, mode = 0 } = entry;
  const path = collection.place(name);
  if (path === undefined) {
    entry.resume();
    return;
  }
  if (LINKS.has(type)) throw refusedEntry(source, name, "is a link");
  if (!FILES.has(type) && !FOLDERS.has(type)) throw refusedEntry(source, name, "is neither a file nor a folder");
  if (FOLDERS.has(type)) {
    entry.resume();
    return;
  }
  const chunks = entry as unknown as AsyncIterable<Buffer>;
  await collection.add(path, { chunks, size, executable: (mode & 0o111) !== 0 });
}

const eventOf = (parser: Parser, event: "drain" | "end"): Promise<void> =>
  new Promise((resolve) => parser.once(event, () => resolve()));

const expandsTooFar = (source: string): CliError =>
  unreadable(source, "it expands to more than 64 MiB", "pack the skill's own folder alone");

function toCliError(source: string, error: unknown): CliError {
  if (error instanceof CliError) return error;
  const words = error instanceof Error ? error.message : String(error);
  return unreadable(source, `it is no tar archive, or a damaged one: ${words}`, "pack it again", error);
}

async function isGzip(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await file.close();
  }
}
