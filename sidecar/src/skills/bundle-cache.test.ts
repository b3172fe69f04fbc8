import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { removeBundle } from "@openhermit/skill-bundle";
import { temporaryDirectory, testLog, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { createBundleCache, type BundleCache } from "./bundle-cache.ts";
import { testSkill, type TestSkill } from "./test/test-skill.ts";

const pdf = testSkill("pdf", { files: { "scripts/run.sh": "#!/bin/sh\n" } });
const csv = testSkill("csv");
const never = new AbortController().signal;
const hexOf = ({ digest }: TestSkill): string => digest.slice("sha256:".length);

let home: TemporaryDirectory;
let directory: string;
let cache: BundleCache;
/** What the gateway has, and what it was asked for. */
let stored: Map<string, Uint8Array>;
let reads: { agentId: string; digest: string; signal: AbortSignal }[];
let gate: Promise<void>;

const make = (more: { fetchMs?: number } = {}): BundleCache =>
  createBundleCache({
    ...more,
    directory,
    log: testLog(),
    async readBundle(agentId, digest, signal) {
      reads.push({ agentId, digest, signal });
      await Promise.race([
        gate,
        new Promise<never>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      ]);
      const data = stored.get(digest);
      if (data === undefined) throw new Error("the gateway does not have it");
      return data;
    },
  });
const hold = (skill: TestSkill, agentId = "one", signal = never) =>
  cache.hold({ agentId, skill: skill.id, digest: skill.digest }, signal);

beforeEach(async () => {
  home = await temporaryDirectory();
  directory = join(home.path, "skills");
  stored = new Map([pdf, csv].map(({ digest, data }) => [digest, data]));
  reads = [];
  gate = Promise.resolve();
  cache = make();
});
afterEach(() => removeBundle(home.path));

test("a bundle is fetched once, however many need it at the same time, and lies there read-only", async () => {
  const held = await Promise.all(["one", "two", "three"].map((agentId) => hold(pdf, agentId)));
  expect(reads).toHaveLength(1);
  const [first] = held;
  expect(first?.directory).toBe(join(directory, hexOf(pdf)));
  expect([...(first?.files ?? [])].map(([path, { executable }]) => [path, executable])).toEqual([
    ["SKILL.md", false],
    ["scripts/run.sh", true],
  ]);
  expect(readFileSync(join(directory, hexOf(pdf), "SKILL.md"), "utf8")).toContain("How to pdf.");
  expect(readdirSync(directory)).toEqual([hexOf(pdf)]);
});

test("what lies on the disk needs no gateway, also for the next process", async () => {
  (await hold(pdf)).release();
  stored.clear();
  cache = make();
  expect([...(await hold(pdf)).files.keys()]).toEqual(["SKILL.md", "scripts/run.sh"]);
  expect(reads).toHaveLength(1);
});

test.each<[string, (folder: string) => void]>([
  ["a file was changed", (folder) => rewrite(join(folder, "SKILL.md"), "something else")],
  ["a file was added", (folder) => rewrite(join(folder, "more"), "more")],
  ["a mode was changed", (folder) => chmodSync(join(folder, "scripts", "run.sh"), 0o644)],
  ["only the folder is there", (folder) => chmodSync(folder, 0o755)],
])("it is fetched anew where %s", async (_how, damage) => {
  (await hold(pdf)).release();
  damage(join(directory, hexOf(pdf)));
  cache = make();
  expect([...(await hold(pdf)).files.keys()]).toEqual(["SKILL.md", "scripts/run.sh"]);
  expect(reads).toHaveLength(2);
  expect(readFileSync(join(directory, hexOf(pdf), "SKILL.md"), "utf8")).toContain("How to pdf.");
});

test("what a killed process has left half written is fetched anew and goes away", async () => {
  const half = join(directory, `.${hexOf(pdf)}.00000000-0000-0000-0000-000000000000`);
  mkdirSync(half, { recursive: true });
  writeFileSync(join(half, "SKILL.md"), "hal");
  mkdirSync(join(directory, hexOf(csv)));
  await hold(csv);
  expect(reads).toHaveLength(1);
  await cache.prune(new Set([csv.digest]));
  expect(readdirSync(directory)).toEqual([hexOf(csv)]);
});

test.each<[string, () => void, RegExp]>([
  [
    "is not there",
    () => stored.delete(pdf.digest),
    /^the files of the skill "pdf" can't be fetched: the gateway does not have it$/,
  ],
  [
    "is another",
    () => stored.set(pdf.digest, csv.data),
    /^the files of the skill "pdf" can't be fetched: .*is damaged/,
  ],
  ["is cut", () => stored.set(pdf.digest, pdf.data.subarray(0, 40)), /is damaged/],
])(
  "a bundle that %s is a reason that names the skill, and is asked for again the next time",
  async (_how, spoil, reason) => {
    spoil();
    const both = await Promise.allSettled([hold(pdf), hold(pdf, "two")]);
    for (const result of both) {
      expect(result).toMatchObject({
        reason: { reason: "SKILL_UNAVAILABLE", code: "unavailable", message: expect.stringMatching(reason) },
      });
    }
    expect(existsSync(join(directory, hexOf(pdf)))).toBe(false);
    stored.set(pdf.digest, pdf.data);
    await hold(pdf);
    expect(reads).toHaveLength(2);
  },
);

test("who does not wait any more ends the fetch only when nobody else waits for it", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  const [one, two] = [new AbortController(), new AbortController()];
  const first = hold(pdf, "one", one.signal);
  const second = hold(pdf, "two", two.signal);
  await waitFor(() => reads.length === 1, { what: "the fetch" });
  one.abort(new Error("enough"));
  await expect(first).rejects.toThrow("enough");
  expect(reads[0]?.signal.aborted).toBe(false);
  two.abort(new Error("enough too"));
  await expect(second).rejects.toThrow("enough too");
  expect(reads[0]?.signal.aborted).toBe(true);
  resolve();
  await hold(pdf);
  expect(reads).toHaveLength(2);
});

test("a gateway that hangs is waited for so long and no longer", async () => {
  gate = new Promise(() => undefined);
  cache = make({ fetchMs: 50 });
  await expect(hold(pdf)).rejects.toThrow("the gateway did not send them within 0.05 s");
  expect(reads[0]?.signal.aborted).toBe(true);
  gate = Promise.resolve();
  await hold(pdf);
});

test("a folder that is not trusted any more is fetched anew, also while somebody holds it", async () => {
  const first = await hold(pdf);
  rewrite(join(first.directory, "SKILL.md"), "something else");
  expect((await hold(pdf)).files).toBe(first.files);
  first.distrust();
  (await hold(pdf, "two")).release();
  expect(reads).toHaveLength(2);
  expect(readFileSync(join(first.directory, "SKILL.md"), "utf8")).toContain("How to pdf.");
  await cache.prune(new Set());
  expect(readdirSync(directory)).toEqual([hexOf(pdf)]);
});

test("only what is neither named nor held is removed", async () => {
  const held = await hold(pdf);
  (await hold(csv)).release();
  await cache.prune(new Set());
  expect(readdirSync(directory)).toEqual([hexOf(pdf)]);
  held.release();
  held.release();
  await cache.prune(new Set([pdf.digest]));
  expect(readdirSync(directory)).toEqual([hexOf(pdf)]);
  await cache.prune(new Set());
  expect(readdirSync(directory)).toEqual([]);
});

test("a bundle that is asked for while it is removed is there", async () => {
  (await hold(pdf)).release();
  for (let round = 0; round < 20; round++) {
    const pruned = Promise.all([cache.prune(new Set()), cache.prune(new Set())]);
    const held = await hold(pdf);
    await pruned;
    expect(readFileSync(join(held.directory, "SKILL.md"), "utf8")).toContain("How to pdf.");
    held.release();
  }
});

test("a digest is no path", async () => {
  const request = { agentId: "one", skill: "evil", digest: "sha256:../../etc" };
  await expect(cache.hold(request, never)).rejects.toMatchObject({ reason: "SKILL_UNAVAILABLE" });
  expect(reads).toEqual([]);
});

function rewrite(path: string, text: string): void {
  const folder = join(path, "..");
  chmodSync(folder, 0o755);
  if (existsSync(path)) chmodSync(path, 0o644);
  writeFileSync(path, text);
  chmodSync(path, 0o444);
  chmodSync(folder, 0o555);
}
