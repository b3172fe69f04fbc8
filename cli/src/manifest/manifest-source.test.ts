import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readManifestSource } from "./manifest-source.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "openhermit-source-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const MIB = 1024 * 1024;
const put = (name: string, text: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const read = (paths: readonly string[], input = ""): ReturnType<typeof readManifestSource> =>
  readManifestSource("diff", Readable.from([Buffer.from(input)]), paths);

it("reads once what is named twice, also by a link and by its folder", async () => {
  const file = put("a b.yaml", "agents: {}");
  symlinkSync(file, join(folder, "z.yml"));
  const source = await read([file, join(folder, "z.yml"), folder, "-", "-"], "x: 1");
  expect(source.files.map(({ name, text }) => [name, text])).toEqual([
    [file, "agents: {}"],
    ["stdin", "x: 1"],
  ]);
  expect(source.label).toBe("2 files");
  expect(source.flags).toContain(`-f '${file}' `);
});

it("takes relative paths from the file's real folder", async () => {
  mkdirSync(join(folder, "real"));
  writeFileSync(join(folder, "real/agents.yaml"), "agents: {}");
  symlinkSync("real", join(folder, "link"));
  const { files } = await read([join(folder, "link/agents.yaml")]);
  expect(files[0]?.baseDirectory).toBe(join(folder, "real"));
});

it.each([
  ["a file that is not there", () => join(folder, "none.yaml"), /can't be read.*it does not exist/s],
  ["a folder without a manifest", () => folder, /has no manifest in it.*\.yaml, \.yml or \.json/s],
  ["a file of 2 MiB", () => put("a.yaml", "#".repeat(2 * MIB)), /is too long: 2\.0 MiB.*at most 1 MiB/s],
  ["what is no text", () => put("a.yaml", Buffer.from([0x61, 0xff, 0xfe])), /is not text/],
  [
    "files that are too long together",
    () => {
      for (const name of ["a", "b", "c", "d"]) put(`${name}.yaml`, "#".repeat(MIB));
      return folder;
    },
    /too long: 4\.0 MiB in 4 files.*at most 3 MiB/s,
  ],
  [
    "more than a hundred files",
    () => {
      for (let index = 0; index <= 100; index += 1) put(`${index}.yaml`, "{}");
      return folder;
    },
    /101 files are too many.*at most 100/s,
  ],
])("refuses %s before anything is sent", async (_, path, said) => {
  const error = await read([path()]).then(
    () => undefined,
    (cause: unknown) => cause as { message: string; why?: string; next?: string },
  );
  expect(`${error?.message}\n${error?.why}`).toMatch(said);
  expect(error?.next ?? "").not.toBe("");
});

it("stops reading a file that has no end", async () => {
  await expect(read(["/dev/zero"])).rejects.toThrow("the manifest /dev/zero is too long");
});

it("stops reading a stdin that has no end", async () => {
  let chunks = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        chunks += 1;
        yield Buffer.alloc(64 * 1024, "#");
      }
    })(),
  );
  await expect(readManifestSource("diff", endless, ["-"])).rejects.toThrow("the manifest stdin is too long");
  expect(chunks).toBeLessThan(100);
});
