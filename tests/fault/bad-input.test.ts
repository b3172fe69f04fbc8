import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { testDatabase, waitFor, type TestDatabase } from "@openhermit/testing";
import { startGatewayProcess, type GatewayProcess } from "../fixture/gateway-process.ts";
import { hostileTarGz, hostileZip, type HostileEntry } from "../fixture/hostile-archive.ts";
import { residentBytes } from "../fixture/process-load.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { writeSkill } from "../fixture/skill-folder.ts";

const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "openhermit-bad-"));
let database: TestDatabase;
let gateway: GatewayProcess;
beforeAll(async () => {
  database = await testDatabase([]);
  gateway = await startGatewayProcess({ databaseUrl: database.url });
  await waitFor(() => gateway.client(FleetService).listAgents({}, { timeoutMs: 2000 }), {
    deadlineMs: 30_000,
    what: "the gateway to be ready",
  });
}, 60_000);
afterAll(async () => {
  await gateway.dispose();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
  expect(processesNaming(gateway.home)).toEqual([]);
});

/** What a command says that must fail with 1, in sentences, and in little memory. */
async function refused(args: readonly string[], options: { input?: string } = {}): Promise<string> {
  let peak = 0;
  const { code, stdout, stderr } = await gateway.hermit(args, { ...options, peak: (bytes) => (peak = bytes) });
  expect([args.join(" "), code, stdout, stderr]).toEqual([args.join(" "), 1, "", expect.any(String)]);
  expect(stderr).not.toMatch(/^ +at .*:\d+:\d+\)?$/m);
  expect(peak).toBeGreaterThan(0);
  expect(peak).toBeLessThan(400 * MIB);
  return stderr;
}

const aliasBomb = (): string => {
  const levels = Array.from({ length: 12 }, (_, i) => {
    const of = i === 0 ? '"boom"' : `*l${i - 1}`;
    return `  - &l${i} [${Array<string>(12).fill(of).join(", ")}]`;
  });
  return `agents: { one: { model: offline/echo } }\nmcpServers:\n  x:\n    command: node\n    agents: []\n    args:\n${levels.map((line) => `    ${line}`).join("\n")}\n`;
};

/** One text of 60 KB for 300 agents: 18 MB of a file of 64 KB. */
const manyAliases = (): string => {
  const others = Array.from({ length: 300 }, (_, i) => `  a${i}: { instructions: *t, launcher: external }`);
  const text = "x".repeat(60_000);
  return `defaults: { model: offline/echo }\nagents:\n  one: { launcher: external, instructions: &t "${text}" }\n${others.join("\n")}\n`;
};

/** Everything that may be said of one file at once. */
const MANY_MISTAKES = `agents:
  one: { modle: offline/echo }
  two: { model: [a], labels: text, turnLimits: { timeout: soon, maxSteps: 1.5 } }
  three: 5
  team:four: { model: offline/echo }
  "*": { model: offline/echo }
  __proto__: { model: offline/echo }
  six: { model: offline/echo, launcher: external }
mcpServers:
  x: { command: node, agents: [six], disabledAgents: ["*"] }
  y: { command: node, agents: [six], disabledAgents: [six] }
  z: { command: node, agents: [nobody] }
agnets: {}
`;
const MANY_PROBLEMS = [
  /bad\.yaml:2:10 .*modle[^]*?did you mean "model"/,
  /bad\.yaml:3:\d+ agents\.two\.model/,
  /bad\.yaml:3:\d+ agents\.two\.labels/,
  /bad\.yaml:3:\d+ agents\.two\.turnLimits\.timeout/,
  /bad\.yaml:3:\d+ agents\.two\.turnLimits\.maxSteps/,
  /bad\.yaml:4:\d+ agents\.three/,
  /bad\.yaml:5:3 .*"team:four" can't be an agent's id/,
  /bad\.yaml:6:3 .*"\*" can't be an agent's id/,
  /bad\.yaml:7:3 .*"__proto__" can't be an agent's id/,
  /bad\.yaml:10:\d+ mcpServers\.x\.disabledAgents/,
  /bad\.yaml:11:\d+ mcpServers\.y\.disabledAgents/,
  /bad\.yaml:12:\d+ mcpServers\.z\.agents/,
  /bad\.yaml:13:1 .*agnets[^]*?did you mean "agents"/,
];

describe("a bad manifest is refused with the place of each problem, and nothing is changed", () => {
  test.each<[string, string, readonly RegExp[]]>([
    ["many mistakes at once", MANY_MISTAKES, MANY_PROBLEMS],
    ["an alias bomb", aliasBomb(), [/bad\.yaml:\d+.*(alias|expected)/]],
    ["many aliases of one long text", manyAliases(), [/alias|too (large|long|many)/i]],
    [
      "a key twice",
      "agents:\n  one: { model: offline/echo }\n  one: { model: offline/echo }\n",
      [/bad\.yaml:3:3.*(twice|unique|duplicate)/i],
    ],
    ["a hundred thousand levels", `agents: ${"[".repeat(100_000)}`, [/bad\.yaml/]],
    ["a tag that runs code elsewhere", "agents: !!js/function 'function () {}'\n", [/bad\.yaml:1/]],
    ["two documents", "agents: {}\n---\nagents: {}\n", [/bad\.yaml:[23]/]],
    ["no YAML", "agents: {\n", [/bad\.yaml:\d/]],
    [
      "NUL",
      'agents:\n  one: { model: offline/echo, instructions: "a\\0b" }\n',
      [/bad\.yaml:2:\d+ agents\.one\.instructions/],
    ],
    ["nothing", "", [/empty/]],
  ])("%s", async (_, text, problems) => {
    writeFileSync(join(folder, "bad.yaml"), text);
    const said = await refused(["apply", "-f", join(folder, "bad.yaml")]);
    for (const problem of problems) expect(said).toMatch(problem);
    expect((await gateway.client(FleetService).listAgents({})).agents).toEqual([]);
  });

  test("2 MiB, from a file, from stdin and past the command line; bytes that are no text", async () => {
    const text = `agents: {}\n#${"x".repeat(2 * MIB)}\n`;
    const file = join(folder, "large.yaml");
    writeFileSync(file, text);
    expect(await refused(["diff", "-f", file])).toMatch(/large\.yaml is too long: 2\.1 MiB/);
    expect(await refused(["diff", "-f", "-"], { input: text })).toMatch(/stdin is too long/);
    const error = await gateway
      .client(ManifestService)
      .planManifest({ manifest: { files: [{ name: "large.yaml", text }] } })
      .then(() => undefined, ConnectError.from);
    expect(error?.code).toBe(Code.InvalidArgument);
    writeFileSync(file, Buffer.from([0x61, 0x3a, 0xff, 0xfe, 0x00]));
    expect(await refused(["diff", "-f", file])).toContain("not text");
  });
});

describe("a hostile skill is refused by the name of its entry, and nothing is written or kept", () => {
  const SKILL: HostileEntry = {
    name: "notes/SKILL.md",
    content: "---\nname: notes\ndescription: Takes notes.\n---\n",
  };
  const outside = join(tmpdir(), `openhermit-escaped-${process.pid}`);

  // What a reader of archives has to refuse besides is tested beside it; this is that nothing of it happens.
  test.each<[string, HostileEntry, RegExp]>([
    ["a way out", { name: "notes/../../escaped", content: "x" }, /escaped.*(leads out|not allowed)/],
    ["a link", { name: "notes/d", link: { to: "/tmp" } }, /notes\/d.*link/],
    ["1 GB that says it is small", { name: "notes/zeros", zeroBlocks: 64, said: 1000 }, /10 MiB|damaged/],
  ])(
    "%s, in a zip and in a tar.gz",
    async (_, entry, said) => {
      const work = mkdtempSync(join(folder, "archive-"));
      for (const [name, make] of [
        ["notes.zip", hostileZip],
        ["notes.tar.gz", hostileTarGz],
      ] as const) {
        writeFileSync(join(work, name), make([SKILL, entry]));
        expect(await refused(["skills", "add", join(work, name), "--agent", "*"])).toMatch(said);
      }
      expect(readdirSync(work).toSorted()).toEqual(["notes.tar.gz", "notes.zip"]);
      expect(existsSync(outside)).toBe(false);
      expect((await gateway.client(SkillService).listSkills({})).skills).toEqual([]);
    },
    60_000,
  );

  test("a hard link in a tar.gz, a link in a folder, a folder with another name", async () => {
    const file = join(folder, "notes.tgz");
    writeFileSync(file, hostileTarGz([SKILL, { name: "notes/hard", link: { to: "/etc/passwd", hard: true } }]));
    expect(await refused(["skills", "add", file])).toMatch(/notes\/hard.*link/);
    const skill = writeSkill(folder, "linked");
    symlinkSync("/etc/passwd", join(skill, "passwd"));
    expect(await refused(["skills", "add", skill])).toMatch(/passwd.*link/);
    mkdirSync(join(folder, "other"));
    writeFileSync(join(folder, "other/SKILL.md"), SKILL.content as string);
    expect(await refused(["skills", "add", join(folder, "other")])).toMatch(/notes[^]*other|other[^]*notes/);
  });

  test("past the command line: paths that lead out, twice, or hold control characters", async () => {
    const content = Buffer.from(SKILL.content as string);
    for (const path of ["../x", "a/../../x", "/etc/x", "a//b", "a\\b", "a\nb", "skill.md", ".", ""]) {
      const files = [
        { path: "SKILL.md", content },
        { path, content: Buffer.from("x") },
      ];
      const error = await gateway
        .client(SkillService)
        .putBundle({ bundle: { files } })
        .then(() => undefined, ConnectError.from);
      expect([path, error?.code]).toEqual([path, Code.InvalidArgument]);
    }
  });
});

test("after all of it the gateway is the same process, small, and without a stack in its log", async () => {
  expect(residentBytes(gateway.child.pid ?? 0)).toBeLessThan(500 * MIB);
  expect(gateway.log()).not.toMatch(/"level":"?(60|fatal)/);
  expect(readFileSync(join(gateway.home, "gateway.json"), "utf8")).toContain(String(gateway.child.pid));
  const good = join(folder, "good.yaml");
  writeFileSync(good, "agents: { one: { model: offline/echo, launcher: external } }\n");
  expect(await gateway.hermit(["apply", "-f", good])).toMatchObject({ code: 0 });
});
