import { once } from "node:events";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { temporaryDirectory, waitFor, type TemporaryDirectory } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

const repository = join(import.meta.dirname, "../..");
/** Tools of the system, without node. */
const TOOLS = ["sh", "dirname", "readlink", "cat", "mkdir", "rm", "sleep", "touch"];

let place: TemporaryDirectory;
/** A clone with nothing but the launcher, and a command line that prints what it was given. */
let clone: string;
/** The only folder on PATH. */
let bin: string;

beforeEach(async () => {
  place = await temporaryDirectory();
  clone = join(place.path, "a clone");
  bin = join(place.path, "bin");
  for (const folder of [bin, ...["bin", "scripts", "cli/src"].map((name) => join(clone, name))]) {
    mkdirSync(folder, { recursive: true });
  }
  copyFileSync(join(repository, "bin/hermit"), join(clone, "bin/hermit"));
  copyFileSync(join(repository, "scripts/bootstrap.sh"), join(clone, "scripts/bootstrap.sh"));
  writeFileSync(join(clone, "cli/src/main.ts"), "console.log(JSON.stringify(process.argv.slice(2)));");
  writeFileSync(join(clone, "package-lock.json"), "{}");
  for (const tool of TOOLS) {
    symlinkSync(execFileSync("/bin/sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim(), join(bin, tool));
  }
});
afterEach(() => place.remove());

/** Puts a program on PATH. */
function program(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

const oldNode = () => program("node", "case $1 in -p) echo 20 ;; --version) echo v20.0.0 ;; *) exit 9 ;; esac");
const newNode = () => symlinkSync(process.execPath, join(bin, "node"));
/** Takes the time of a real one, and writes what a real one leaves last. */
const npm = (before = "") =>
  program(
    "npm",
    `echo "npm $*"; ${before} echo run >> npm-runs; mkdir -p node_modules; touch node_modules/.package-lock.json`,
  );
const npmRuns = () => readFileSync(join(clone, "npm-runs"), "utf8").split("\n").length - 1;

function hermit(args: string[] = [], file = join(clone, "bin/hermit"), cwd = place.path) {
  const { status, stdout, stderr } = spawnSync(file, args, {
    cwd,
    env: { PATH: bin, CDPATH: clone },
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("a new node and npm ci once: the words go to stderr, stdout is the command's own", () => {
  newNode();
  npm();
  expect(hermit(["up", "--listen", "127.0.0.1:1"])).toEqual({
    status: 0,
    stdout: '["up","--listen","127.0.0.1:1"]\n',
    stderr: expect.stringContaining("npm ci --no-fund --no-audit") as string,
  });
  expect(hermit()).toEqual({ status: 0, stdout: "[]\n", stderr: "" });
  // Newer than what was installed, as after a pull.
  utimesSync(join(clone, "package-lock.json"), new Date(), new Date(Date.now() + 60_000));
  expect(hermit().stderr).toContain("installing dependencies");
  expect(npmRuns()).toBe(2);
  expect(existsSync(join(clone, ".cache/install.lock"))).toBe(false);
});

test("runs through links, by a relative path, and from anywhere", () => {
  newNode();
  npm();
  symlinkSync("a clone/bin/hermit", join(place.path, "link"));
  symlinkSync("../link", join(bin, "hermit"));
  expect(hermit(["version"], join(bin, "hermit"), "/").stdout).toBe('["version"]\n');
  expect(hermit(["version"], "bin/hermit", clone).stdout).toBe('["version"]\n');
});

test("an old node: the one that npx fetches is used, and found again without npx", () => {
  oldNode();
  npm();
  program("npx", `echo fetching >&2; echo ${process.execPath}`);
  const first = hermit(["a"]);
  expect(first).toMatchObject({ status: 0, stdout: '["a"]\n' });
  expect(first.stderr).toContain("Node v20.0.0 is on PATH; fetching Node 24");
  program("npx", "exit 1");
  expect(hermit(["b"])).toEqual({ status: 0, stdout: '["b"]\n', stderr: "" });
});

test.each<[string, () => void, RegExp]>([
  ["no node", () => undefined, /Node\.js is not on PATH\. Install Node 20 or newer/],
  ["no npx", oldNode, /npx is not on PATH\. Install npm/],
  ["no npm", newNode, /npm is not on PATH\. Install npm/],
  [
    "no registry for npx",
    () => {
      oldNode();
      program("npx", "echo ENOTFOUND >&2; exit 1");
    },
    /ENOTFOUND[^]*Node 24 could not be fetched[^]*Check the network/,
  ],
  [
    "no registry for npm",
    () => {
      newNode();
      program("npm", "echo ENOTFOUND >&2; exit 1");
    },
    /ENOTFOUND[^]*npm ci failed/,
  ],
])("%s: one clear sentence, and the next start is free to try again", (_, arrange, words) => {
  arrange();
  const { status, stdout, stderr } = hermit();
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(words);
  expect(existsSync(join(clone, ".cache/install.lock"))).toBe(false);
});

test("starts at the same time install once; one that was killed does not stop the next", async () => {
  newNode();
  npm("sleep 0.3;");
  mkdirSync(join(clone, ".cache/install.lock"), { recursive: true });
  writeFileSync(join(clone, ".cache/install.lock/owners"), "999999999\n");
  const starts = [1, 2, 3].map((n) => {
    const child = spawn(join(clone, "bin/hermit"), [String(n)], {
      env: { PATH: bin },
      stdio: ["ignore", "pipe", "ignore"],
    });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    return once(child, "close").then(([code]) => `${String(code)} ${text}`);
  });
  expect(await Promise.all(starts)).toEqual(['0 ["1"]\n', '0 ["2"]\n', '0 ["3"]\n']);
  expect(npmRuns()).toBe(1);
});

test("Ctrl-C ends npm too and leaves no lock", async () => {
  newNode();
  program("npm", "echo $$ > npm-pid; exec sleep 60");
  const child = spawn(join(clone, "bin/hermit"), [], { env: { PATH: bin }, stdio: "ignore", detached: true });
  const pidFile = join(clone, "npm-pid");
  const pid = await waitFor(
    () => (existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) || undefined : undefined),
    { what: "npm to run" },
  );
  process.kill(-(child.pid ?? 0), "SIGINT");
  expect(await waitFor(() => child.exitCode ?? undefined, { what: "the launcher to end" })).toBe(130);
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  expect(existsSync(join(clone, ".cache/install.lock"))).toBe(false);
});

test("the lock file names the packages of every platform, so that npm ci takes it", () => {
  const { stderr, status } = spawnSync(process.execPath, [join(repository, "scripts/complete-lock.ts"), "--check"], {
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});
