import { create, toBinary } from "@bufbuild/protobuf";
import { MeshError } from "@openhermit/errors";
import { BundleSchema } from "@openhermit/protocol/catalog/v1/skill";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { BundleFile } from "./bundle-file.ts";
import { folderProblems } from "./folder-problems.ts";
import { packBundle, unpackBundle } from "./pack-bundle.ts";

/** Names with all that is allowed and is seldom thought of. */
const part = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .map((text) => text.replaceAll(/[/\\\p{Cc}]/gu, "_"))
  .filter((text) => text !== "." && text !== ".." && text.isWellFormed());
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const bundle: fc.Arbitrary<BundleFile[]> = fc
  .array(fc.record({ path, content: fc.uint8Array({ maxLength: 200 }), executable: fc.boolean() }), {
    minLength: 1,
    maxLength: 20,
  })
  .filter((files) => folderProblems(files).length === 0);

const plain = (files: readonly BundleFile[]): unknown =>
  files
    .map((one) => ({ ...one, content: Buffer.from(one.content).toString("hex") }))
    .toSorted((one, other) => Buffer.compare(Buffer.from(one.path), Buffer.from(other.path)));
const digestOf = (data: Uint8Array): string => `sha256:${createHash("sha256").update(data).digest("hex")}`;

function reasonOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof MeshError) return error.reason;
    throw error;
  }
  return "";
}

test("what is packed is unpacked, ordered by path", () => {
  fc.assert(
    fc.property(bundle, (files) => {
      const { data, digest } = packBundle(files);
      const found = unpackBundle(data, digest);
      expect(plain(found)).toEqual(plain(files));
      expect(found.map(({ path: at }) => at)).toEqual((plain(files) as BundleFile[]).map(({ path: at }) => at));
    }),
  );
});

test("the digest does not depend on the order of the files, and on everything else", () => {
  const shuffled = bundle.chain((files) =>
    fc.tuple(fc.constant(files), fc.shuffledSubarray(files, { minLength: files.length, maxLength: files.length })),
  );
  fc.assert(
    fc.property(shuffled, ([files, others]) => {
      expect(packBundle(others)).toEqual(packBundle(files));
      const [first, ...rest] = files as [BundleFile, ...BundleFile[]];
      const { digest } = packBundle(files);
      expect(packBundle([{ ...first, executable: !first.executable }, ...rest]).digest).not.toBe(digest);
      expect(packBundle([{ ...first, path: `${first.path}x` }, ...rest]).digest).not.toBe(digest);
      expect(
        packBundle([{ ...first, content: Buffer.concat([first.content, Buffer.of(1)]) }, ...rest]).digest,
      ).not.toBe(digest);
    }),
  );
});

test("the digest of a known bundle is what the contract says, so that other languages can compute it", () => {
  const files = [
    { path: "b", content: Buffer.from("2"), executable: true },
    { path: "a", content: Buffer.from("1"), executable: false },
  ];
  const data = Buffer.from([0x0a, 6, 0x0a, 1, 0x61, 0x12, 1, 0x31, 0x0a, 8, 0x0a, 1, 0x62, 0x12, 1, 0x32, 0x18, 1]);
  expect(Buffer.from(packBundle(files).data).toString("hex")).toBe(data.toString("hex"));
  expect(packBundle(files).digest).toBe(digestOf(data));
});

test("damaged bytes are refused", () => {
  const damage = fc.tuple(bundle, fc.nat(), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(damage, ([files, at, xor]) => {
      const { data, digest } = packBundle(files);
      const changed = Uint8Array.from(data);
      changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ xor;
      expect(reasonOf(() => unpackBundle(changed, digest))).toBe("BUNDLE_DAMAGED");
      expect(reasonOf(() => unpackBundle(data.slice(0, at % data.length), digest))).toBe("BUNDLE_DAMAGED");
    }),
  );
});

test.each<[string, Uint8Array]>([
  ["no message", Buffer.from("hello, I am no bundle")],
  ["an unordered one", toBinary(BundleSchema, create(BundleSchema, { files: [{ path: "b" }, { path: "a" }] }))],
  ["one with a field too many", Buffer.concat([packBundle([file("a")]).data, Buffer.from([0x10, 1])])],
  ["one whose path is not UTF-8", Buffer.from([0x0a, 3, 0x0a, 1, 0xff])],
  ["one that leads outside", packBundle([file("../../etc/passwd")]).data],
  ["one that is absolute", packBundle([file("/etc/passwd")]).data],
  ["one with a path twice", packBundle([file("a"), file("a")]).data],
  ["one of too many files", packBundle(Array.from({ length: 1001 }, (_, i) => file(`f${i}`))).data],
])("%s is refused although its digest is right", (_name, data) => {
  expect(reasonOf(() => unpackBundle(data, digestOf(data)))).toBe("BUNDLE_DAMAGED");
});

function file(at: string): BundleFile {
  return { path: at, content: Buffer.from("x"), executable: false };
}
