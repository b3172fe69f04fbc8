import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { constants, deflateRawSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CliError } from "../cli-error.ts";
import { makeTar, makeZip, type ZipEntry } from "../test/make-archive.ts";
import { readSkill } from "./read-skill.ts";

const MIB = 1024 * 1024;
const SKILL = "---\nname: notes\ndescription: Takes notes.\n---\n";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "openhermit-skill-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (name: string, content: string | Uint8Array = ""): string => {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
};
const shown = async (path: string) =>
  (await readSkill(path))
    .map(({ path: name, content, executable }) => [name, Buffer.from(content).toString(), executable])
    .toSorted(([one], [other]) => (String(one) < String(other) ? -1 : 1));
const refusal = async (path: string): Promise<string> =>
  readSkill(path).then(
    (files) => `${files.length} files`,
    (error: CliError) => `${error.message}: ${error.why}`,
  );

describe("readSkill of a folder", () => {
  it("reads all files with their executable bit, without what tools leave behind", async () => {
    put("notes/SKILL.md", SKILL);
    chmodSync(put("notes/scripts/run.sh", "#!/bin/sh\n"), 0o755);
    for (const name of [".git/config", "a/node_modules/x.js", "__pycache__/x.pyc", ".DS_Store", "a/._b"])
      put(`notes/${name}`);
    symlinkSync("/etc/passwd", join(folder, "notes/a/node_modules/link"));
    const expected = [
      ["SKILL.md", SKILL, false],
      ["scripts/run.sh", "#!/bin/sh\n", true],
    ];
    expect(await shown(join(folder, "notes"))).toEqual(expected);
    // The folder itself may be named by a link.
    symlinkSync("notes", join(folder, "named"));
    expect(await shown(join(folder, "named"))).toEqual(expected);
  });

  it("refuses links to files and folders, also within it, and special files, by their name", async () => {
    put("a/SKILL.md", SKILL);
    symlinkSync("SKILL.md", join(folder, "a/other.md"));
    expect(await refusal(join(folder, "a"))).toMatch(/"other\.md" is a link/);
    put("b/docs/SKILL.md", SKILL);
    symlinkSync("/etc", join(folder, "b/docs/etc"));
    expect(await refusal(join(folder, "b"))).toMatch(/"docs\/etc" is a link/);
    put("c/SKILL.md", SKILL);
    execFileSync("mkfifo", [join(folder, "c/pipe")]);
    expect(await refusal(join(folder, "c"))).toMatch(/"pipe" is neither a file nor a folder/);
  });

  it("stops at 10 MiB and at 1,000 files", async () => {
    put("a/SKILL.md", SKILL);
    put("a/big", Buffer.alloc(10 * MIB - SKILL.length));
    expect(await readSkill(join(folder, "a"))).toHaveLength(2);
    put("a/more", "x");
    expect(await refusal(join(folder, "a"))).toContain("too large: with more its files are more than 10 MiB");
    for (let index = 0; index < 1001; index++) put(`b/${index}`);
    expect(await refusal(join(folder, "b"))).toContain("too many files: at most 1,000");
  });

  it("says what is there instead", async () => {
    expect(await refusal(join(folder, "none"))).toContain("can't be read: it does not exist");
    expect(await refusal(put("SKILL.md", SKILL))).toContain("neither a folder nor an archive");
    expect(await refusal("/dev/null")).toContain("neither a folder nor an archive");
  });
});

describe("readSkill of a zip archive", () => {
  const zip = (entries: readonly ZipEntry[], name = "notes.zip") => put(name, makeZip(entries));

  it("reads it, without the folder that holds all of it and what tools leave behind", async () => {
    const entries: ZipEntry[] = [
      { name: "notes/", mode: 0o040755, method: 0 },
      { name: "notes/SKILL.md", content: SKILL },
      { name: "notes/scripts\\run.sh", content: "#!/bin/sh\n", mode: 0o100755, method: 0 },
      { name: "notes/node_modules/.bin/x", content: "../x", mode: 0o120777 },
      { name: "__MACOSX/notes/._SKILL.md", content: "x" },
    ];
    const expected = [
      ["SKILL.md", SKILL, false],
      ["scripts/run.sh", "#!/bin/sh\n", true],
    ];
    expect(await shown(zip(entries))).toEqual(expected);
    expect(await shown(zip(entries, "notes.SKILL"))).toEqual(expected);
    const flat = zip([{ name: "SKILL.md", content: SKILL }, { name: "scripts/a" }], "flat.zip");
    expect((await shown(flat)).map(([name]) => name)).toEqual(["SKILL.md", "scripts/a"]);
  });

  it.each<[string, ZipEntry, string]>([
    ["a path that leads out", { name: "a/../../b" }, '"a/../../b" leads out of the skill'],
    ["one of Windows", { name: "..\\b" }, '"../b" leads out of the skill'],
    ["an absolute path", { name: "/etc/cron.d/x" }, '"/etc/cron.d/x" has an absolute path'],
    ["a drive", { name: "C:/x" }, '"C:/x" has an absolute path'],
    ["a way out of what is left out", { name: ".git/../../x" }, "leads out"],
    ["a link", { name: "link", content: "/etc/passwd", mode: 0o120777 }, '"link" is a link'],
    ["a device", { name: "null", mode: 0o020666 }, '"null" is neither a file nor a folder'],
    ["a name twice", { name: "./SKILL.md", content: "other" }, '"SKILL.md" stands in it twice'],
    ["encryption", { name: "x", content: "x", flag: 1 }, "x is encrypted"],
    ["a strange compression", { name: "x", content: "x", method: 99 }, "x is compressed by method 99"],
    ["a wrong checksum", { name: "x", content: "x", said: { crc: 1 } }, "a checksum is wrong"],
    ["more than it says", { name: "x", content: "xyz".repeat(99), said: { size: 3 } }, "damaged"],
    ["a size beyond all bounds", { name: "x", content: "x", said: { size: 0xfffffff0 } }, "more than 10 MiB"],
  ])("refuses %s", async (_, entry, said) => {
    expect(await refusal(zip([{ name: "SKILL.md", content: SKILL }, entry]))).toContain(said);
  });

  it("does not go on through what is no skill at all", async () => {
    const names = Array.from({ length: 10_001 }, (_, index) => ({ name: `${index}/`, mode: 0o040755 }));
    expect(await refusal(zip(names))).toContain("too many entries: at most 10,000");
  });

  it("refuses a file that is no archive, and one that is cut", async () => {
    expect(await refusal(put("a.zip", "nothing"))).toContain("no zip archive, or a damaged one");
    const whole = makeZip([{ name: "SKILL.md", content: Buffer.alloc(5000, SKILL) }]);
    expect(await refusal(put("b.zip", whole.subarray(0, -30)))).toContain("damaged");
    whole.fill(0xff, 45, 60);
    expect(await refusal(put("c.zip", whole))).toContain("damaged");
  });

  it("neither holds nor unpacks 1 GB that pretends to be small", async () => {
    // Blocks that begin anew can be repeated; the last one is empty.
    const block = deflateRawSync(Buffer.alloc(16 * MIB), { finishFlush: constants.Z_FULL_FLUSH });
    const packed = Buffer.concat([...Array<Buffer>(64).fill(block), Buffer.from([3, 0])]);
    const most = watchMemory();
    const path = zip([
      { name: "SKILL.md", content: SKILL },
      { name: "bomb", packed, said: { size: 1000 } },
    ]);
    expect(await refusal(path)).toMatch(/can't be read|too large/);
    const honest = zip([{ name: "bomb", packed, said: { size: 1024 * MIB } }], "honest.zip");
    expect(await refusal(honest)).toContain("more than 10 MiB");
    expect(most()).toBeLessThan(100 * MIB);
  });
});

describe("readSkill of a tar archive", () => {
  const file = (path: string, content = "") => ({ path, content });

  it("reads it with and without gzip, whatever its name says", async () => {
    const archive = makeTar([
      { path: "./", type: "Directory" },
      { path: "./notes/", type: "Directory", mode: 0o755 },
      file("./notes/SKILL.md", SKILL),
      { path: "./notes/run.sh", content: "#!/bin/sh\n", mode: 0o755 },
      file("./notes/.git/HEAD", "x"),
      { path: "./notes/node_modules/x", type: "SymbolicLink", linkpath: "/etc" },
      file("./notes/empty"),
    ]);
    for (const [name, content] of [
      ["a.tar", archive],
      ["a.tgz", gzipSync(archive)],
      ["a.tar.gz", gzipSync(archive)],
      ["b.tar", gzipSync(archive)],
    ] as const) {
      expect(await shown(put(name, content))).toEqual([
        ["SKILL.md", SKILL, false],
        ["empty", "", false],
        ["run.sh", "#!/bin/sh\n", true],
      ]);
    }
  });

  it("reads what tar itself makes of a folder", async () => {
    put("notes/SKILL.md", SKILL);
    put(`notes/${"long-".repeat(40)}/deep.md`, "deep");
    put("notes/umläut.md", Buffer.alloc(3 * MIB, "a"));
    execFileSync("tar", ["-czf", join(folder, "notes.tgz"), "-C", folder, "notes"]);
    expect((await readSkill(join(folder, "notes.tgz"))).map(({ path, content }) => [path, content.length])).toEqual(
      expect.arrayContaining([
        ["SKILL.md", SKILL.length],
        [`${"long-".repeat(40)}/deep.md`, 4],
        ["umläut.md", 3 * MIB],
      ]),
    );
  });

  it.each<[string, Parameters<typeof makeTar>[0][number], string]>([
    ["a path that leads out", file("../b"), '"../b" leads out of the skill'],
    ["an absolute path", file("/etc/cron.d/x"), '"/etc/cron.d/x" has an absolute path'],
    ["a link", { path: "link", type: "SymbolicLink", linkpath: "SKILL.md" }, '"link" is a link'],
    ["a hard link", { path: "link", type: "Link", linkpath: "SKILL.md" }, '"link" is a link'],
    ["a device", { path: "null", type: "CharacterDevice" }, '"null" is neither a file nor a folder'],
    ["a pipe", { path: "pipe", type: "FIFO" }, '"pipe" is neither a file nor a folder'],
    ["a name twice", file("./SKILL.md", "other"), '"SKILL.md" stands in it twice'],
    ["a size beyond all bounds", { path: "x", content: "x", size: 2 ** 33 }, "more than 10 MiB"],
    ["a kind nobody knows", { path: "x", type: "SparseFile" }, '"x" is of the kind SparseFile'],
  ])("refuses %s", async (_, entry, said) => {
    expect(await refusal(put("a.tar", makeTar([file("SKILL.md", SKILL), entry])))).toContain(said);
    // Also where nothing follows that would have to be read.
    expect(
      await refusal(put("a.tgz", gzipSync(makeTar([file("SKILL.md", SKILL), entry, file("more", "x")])))),
    ).toContain(said);
  });

  it("refuses a file that is no archive, and one that is cut", async () => {
    expect(await refusal(put("a.tar", "nothing"))).toContain("no tar archive, or a damaged one");
    expect(await refusal(put("empty.tar"))).toContain("damaged");
    const whole = makeTar([file("SKILL.md", SKILL.repeat(200))]);
    expect(await refusal(put("b.tar", whole.subarray(0, 2000)))).toContain("damaged");
    expect(await refusal(put("c.tgz", gzipSync(whole).subarray(0, 60)))).toContain("damaged");
    whole[20] = 1;
    expect(await refusal(put("d.tar", whole))).toContain("damaged");
  });

  it("neither holds nor unpacks 1 GB, also of what is left out", async () => {
    // So is a gzip file that follows on another.
    const zeros = Array<Buffer>(64).fill(gzipSync(Buffer.alloc(16 * MIB)));
    const header = (path: string) => gzipSync(makeTar([{ path, size: 1024 * MIB }]).subarray(0, 512));
    for (const [path, said] of [
      ["bomb", "more than 10 MiB"],
      [".git/bomb", "expands to more than 64 MiB"],
    ] as const) {
      const bomb = put("bomb.tgz", Buffer.concat([header(path), ...zeros]));
      const most = watchMemory();
      expect(await refusal(bomb)).toContain(said);
      expect(most()).toBeLessThan(100 * MIB);
    }
  });
});

/** Looks at the memory of buffers until the answer is asked for: how much more it was at most, in bytes. */
function watchMemory(): () => number {
  const held = (): number => process.memoryUsage().arrayBuffers;
  const before = held();
  let most = 0;
  const look = (): number => (most = Math.max(most, held() - before));
  const watch = setInterval(look, 1);
  return () => {
    clearInterval(watch);
    return look();
  };
}
