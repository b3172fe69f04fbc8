import { createHash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { invalidArgument } from "@openhermit/errors";
import { BundleSchema } from "@openhermit/protocol/catalog/v1/skill";
import type { BundleFile } from "./bundle-file.ts";
import { folderProblems } from "./folder-problems.ts";

/** The canonical encoding of files, and its digest: the same whatever their order. Checks nothing: see checkSkill. */
export function packBundle(files: readonly BundleFile[]): { data: Uint8Array; digest: string } {
  const sorted = files
    .map((file) => ({ file, bytes: Buffer.from(file.path) }))
    .toSorted((one, other) => Buffer.compare(one.bytes, other.bytes))
    .map(({ file: { path, content, executable } }) => ({ path, content, executable }));
  const data = toBinary(BundleSchema, create(BundleSchema, { files: sorted }));
  return { data, digest: digestOf(data) };
}

/**
 * Reads a bundle. The contents are views of the data. Throws BUNDLE_DAMAGED when the data are not those of the digest, are not a bundle in
 * its canonical encoding, or have a path or a size that is not allowed. Whether it is a skill says checkSkill.
 */
export function unpackBundle(data: Uint8Array, digest: string): BundleFile[] {
  const found = digestOf(data);
  if (found !== digest) throw damaged(digest, `its bytes have the digest ${found}`);
  let files: BundleFile[];
  try {
    files = fromBinary(BundleSchema, data).files.map(({ path, content, executable }) => ({
      path,
      content,
      executable,
    }));
  } catch (cause) {
    throw damaged(digest, "its bytes are no list of files", cause);
  }
  assertWritable(files, digest);
  // Two encodings of the same files would be two digests of the same skill.
  if (packBundle(files).digest !== digest) throw damaged(digest, "its bytes are not in the canonical encoding");
  return files;
}

/** Throws BUNDLE_DAMAGED for files that can't be, or must not be, written to a folder. */
export function assertWritable(files: readonly BundleFile[], name: string): void {
  const [problem] = folderProblems(files);
  if (problem === undefined) return;
  const { path, message } = problem;
  throw damaged(name, path === "" ? message : `of the file ${JSON.stringify(path.slice(0, 200))} ${message}`);
}

function digestOf(data: Uint8Array): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

function damaged(name: string, why: string, cause?: unknown): Error {
  const details = { hint: "Put the skill again from its folder.", cause };
  return invalidArgument("BUNDLE_DAMAGED", `the bundle ${name} is damaged: ${why}`, details);
}
