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
  expect([args.join(" "), code, stdout]).toEqual([args.join(" "), 1, ""]);
  expect(stderr).not.toMatch(/^ +at /m);
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

describe("a bad manifest is refused with the place of each problem, and nothing is changed", () => {
  test.each<[string, string, RegExp]>([
    ["an alias bomb", aliasBomb(), /bad\.yaml:\d+.*(alias|expected)/],
    [
      "many aliases of one long text",
      `agents:\n  one: { model: offline/echo, instructions: &t "${"x".repeat(60_000)}" }\n${Array.from({ length: 2000 }, (_, i) => `  a${i}: { instructions: *t }`).join("\n")}\n`,
      /bad\.yaml:\d+.*alias|too (large|long|many)/i,
    ],
    [
      "a key twice",
      "agents:\n  one: { model: offline/echo }\n  one: { model: offline/echo }\n",
      /bad\.yaml:3:3.*(twice|unique|duplicate)/i,
    ],
    ["an unknown key", "agents:\n  one: { modle: offline/echo }\n", /bad\.yaml:2:\d+.*modle[^]*did you mean "model"/],
    ["an unknown section", "agnets: {}\n", /bad\.yaml:1:1.*agnets[^]*did you mean "agents"/],
    [
      "wrong types",
      "agents:\n  one: { model: [a], labels: text, turnLimits: { timeout: soon, maxSteps: 1.5 } }\n  two: 5\n",
      /agents\.one\.model[^]*agents\.one\.labels[^]*agents\.one\.turnLimits\.timeout[^]*agents\.one\.turnLimits\.maxSteps[^]*agents\.two/,
    ],
    [
      "an id with a colon",
      "agents:\n  team:one: { model: offline/echo }\n",
      /bad\.yaml:2:3.*team:one.*can't be an agent's id/,
    ],
    ["an id that is *", 'agents:\n  "*": { model: offline/echo }\n', /bad\.yaml:2:3.*"\*" can't be an agent's id/],
    [
      "* beside an id",
      'agents: { one: { model: offline/echo } }\nmcpServers: { x: { command: node, agents: [one], disabledAgents: ["*"] } }\n',
      /disabledAgents/,
    ],
    [
      "an agent in both lists",
      "agents: { one: { model: offline/echo } }\nmcpServers: { x: { command: node, agents: [one], disabledAgents: [one] } }\n",
      /one/,
    ],
    ["__proto__", "agents:\n  __proto__: { model: offline/echo }\n", /bad\.yaml:2:3.*__proto__/],
    ["a thousand levels", `agents: ${"[".repeat(1000)}${"]".repeat(1000)}\n`, /bad\.yaml/],
    ["a hundred thousand levels", `agents: ${"[".repeat(100_000)}`, /bad\.yaml/],
    ["a tag that runs code elsewhere", "agents: !!js/function 'function () {}'\n", /bad\.yaml:1/],
    ["two documents", "agents: {}\n---\nagents: {}\n", /bad\.yaml:[23]/],
    ["no YAML", "agents: {\n", /bad\.yaml:\d/],
    ["NUL", 'agents:\n  one: { model: offline/echo, instructions: "a\\0b" }\n', /instructions/],
    ["nothing", "", /empty/],
  ])("%s", async (_, text, said) => {
    writeFileSync(join(folder, "bad.yaml"), text);
    expect(await refused(["apply", "-f", join(folder, "bad.yaml")])).toMatch(said);
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

  test.each<[string, HostileEntry, RegExp]>([
    ["a way out", { name: "notes/../../escaped", content: "x" }, /escaped.*(leads out|not allowed)/],
    ["an absolute path", { name: outside, content: "x" }, /escaped.*absolute/],
    ["a link", { name: "notes/link", link: { to: "/etc/passwd" } }, /notes\/link.*link/],
    ["a link and a file through it", { name: "notes/d", link: { to: "/tmp" } }, /notes\/d.*link/],
    ["1 GB", { name: "notes/zeros", zeroBlocks: 64 }, /10 MiB/],
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
