import { lstat, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { temporaryDirectory, type TemporaryDirectory } from "@openhermit/testing";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { BundleFile } from "./bundle-file.ts";
import { removeBundle, writeBundle } from "./write-bundle.ts";

let home: TemporaryDirectory;
beforeEach(async () => {
  home = await temporaryDirectory();
});
afterEach(async () => {
  await removeBundle(home.path);
});

const file = (path: string, text = "x", executable = false): BundleFile => ({
  path,
  content: Buffer.from(text),
  executable,
});

/** Every path under a folder with its mode. */
async function tree(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    found[relative(directory, path)] = ((await lstat(path)).mode & 0o777).toString(8);
  }
  return found;
}

test("files are written read-only, the programs among them may be run", async () => {
  const target = join(home.path, "pdf");
  await writeBundle(target, [
    file("SKILL.md", "text"),
    file("scripts/deep/run.sh", "#!/bin/sh\n", true),
    file("empty", ""),
  ]);
  expect(await tree(target)).toEqual({
    "SKILL.md": "444",
    empty: "444",
    scripts: "555",
    "scripts/deep": "555",
    "scripts/deep/run.sh": "555",
  });
  expect((await lstat(target)).mode & 0o777).toBe(0o555);
  expect(await readFile(join(target, "SKILL.md"), "utf8")).toBe("text");
  expect(await readdir(home.path)).toEqual(["pdf"]);
  await removeBundle(target);
  expect(await readdir(home.path)).toEqual([]);
});

test.each(["a full", "an empty"])("%s folder that is there already stays as it is", async (kind) => {
  const target = join(home.path, "pdf");
  await mkdir(target);
  if (kind === "a full") await writeFile(join(target, "mine"), "mine");
  const before = await tree(target);
  await expect(writeBundle(target, [file("SKILL.md")])).rejects.toMatchObject({ code: "EEXIST" });
  expect(await tree(target)).toEqual(before);
  expect(await readdir(home.path)).toEqual(["pdf"]);
});

test("of several writers of one folder one wins, and nothing is left of the others", async () => {
  const target = join(home.path, "pdf");
  const files = Array.from({ length: 40 }, (_, i) => file(`d${i % 3}/f${i}`));
  const results = await Promise.allSettled(Array.from({ length: 6 }, () => writeBundle(target, files)));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect(await readdir(home.path)).toEqual(["pdf"]);
  expect(Object.keys(await tree(target))).toHaveLength(43);
});

test("no path leads outside of the folder", async () => {
  const nasty = fc.array(fc.constantFrom("..", ".", "", "a", "A", "b", "/", "\\", "\0", "c d"), {
    minLength: 1,
    maxLength: 5,
  });
  const paths = fc.array(
    nasty.map((parts) => parts.join("/")),
    { minLength: 1, maxLength: 4 },
  );
  let written = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(paths, async (all) => {
      const inner = join(home.path, "one", "two");
      await mkdir(inner, { recursive: true });
      const target = join(inner, "skill");
      try {
        await writeBundle(
          target,
          all.map((path) => file(path)),
        );
        written += 1;
        expect(Object.keys(await tree(target))).toEqual(expect.arrayContaining(all));
      } catch (error) {
        expect(error).toMatchObject({ reason: "BUNDLE_DAMAGED" });
        refused += 1;
        expect(await readdir(inner)).toEqual([]);
      }
      await removeBundle(target);
      expect(Object.keys(await tree(home.path))).toEqual(["one", "one/two"]);
    }),
  );
  expect(written).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
});

test("removing takes a link away and not what it points at", async () => {
  const outside = join(home.path, "outside");
  await mkdir(outside);
  await writeFile(join(outside, "kept"), "kept");
  await symlink(outside, join(home.path, "link"));
  await removeBundle(join(home.path, "link"));
  await mkdir(join(home.path, "skill"));
  await symlink(outside, join(home.path, "skill", "link"));
  await removeBundle(join(home.path, "skill"));
  await removeBundle(join(home.path, "never-was"));
  expect(await tree(home.path)).toEqual({ outside: expect.any(String), "outside/kept": expect.any(String) });
});
