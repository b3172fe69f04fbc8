import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BundleSchema, SkillSchema, type Bundle, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { packBundle } from "@openhermit/skill-bundle";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeZip } from "../test/make-archive.ts";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const skillText = (name: string, more = ""): string =>
  `---\nname: ${name}\ndescription: Takes notes.\n---\n# Notes\n${more}`;
const notFound = (id: string) =>
  new ConnectError(`skill "${id}" does not exist`, Code.NotFound, undefined, [
    { desc: ErrorDetailSchema, value: { reason: "SKILL_NOT_FOUND", fields: { skill_id: id } } },
  ]);

let gateway: TestGateway;
let folder: string;
let asked: { method: string; request: object }[] = [];
let stored: Skill | undefined;
/** Of the skill, and the one that was sent last. */
let bundle: Bundle;
let sent: Bundle;
let conflicts = 0;
const note = <T>(method: string, request: object, answer: T): T => {
  asked.push({ method, request });
  return answer;
};
const found = (id: string): Skill => {
  if (stored?.id !== id) throw notFound(id);
  return stored;
};

beforeAll(async () => {
  gateway = await startTestGateway((router) => {
    router.service(SkillService, {
      listSkills: () => ({ skills: stored ? [stored] : [] }),
      getSkill: ({ skillId }) => ({ skill: found(skillId) }),
      getBundle: ({ skillId }) => ({ digest: found(skillId).digest, bundle }),
      putBundle: (request) => {
        if (request.bundle) sent = request.bundle;
        return note("putBundle", request, {});
      },
      putSkill: (request) => {
        if (conflicts-- > 0) throw new ConnectError("changed", Code.Aborted);
        const { id = "", digest = "", agents = [], disabledAgents = [] } = request.skill ?? {};
        const description = { name: id, description: "Takes notes." };
        bundle = sent;
        const fileCount = bundle.files.length;
        stored = create(SkillSchema, { id, digest, agents, disabledAgents, etag: "e2", fileCount, description });
        return note("putSkill", request, { skill: stored });
      },
      enableSkill: (request) => note("enableSkill", request, { skill: found(request.skillId), changed: true }),
      disableSkill: (request) => note("disableSkill", request, { skill: found(request.skillId), changed: false }),
      deleteSkill: (request) => note("deleteSkill", request, {}),
    });
    router.service(FleetService, {
      watchApplied: async function* (request) {
        yield note("watchApplied", request, { totalCount: 1, appliedCount: 1 });
      },
    });
  });
});
beforeEach(() => {
  asked = [];
  conflicts = 0;
  stored = undefined;
  folder = mkdtempSync(join(tmpdir(), "openhermit-skills-"));
  return () => rmSync(folder, { recursive: true, force: true });
});
afterAll(() => gateway.close());

const put = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
};
const run = (...args: string[]) => runHermit(["skills", ...args], { home: gateway.home });
const notes = () => join(folder, "notes");

describe("hermit skills add", () => {
  it("sends the files and gives the skill to agents; again it sends nothing", async () => {
    put("notes/SKILL.md", skillText("notes"));
    put("notes/data.bin", new Uint8Array([0, 255, 254]));
    const added = await run("add", notes(), "--agent", "*", "--wait");
    expect(added).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\+ skill notes\n {4}Description: Takes notes/),
    });
    expect(added.stderr).toContain("1 of 1 applied");
    const files = [
      { path: "SKILL.md", content: Buffer.from(skillText("notes")), executable: false },
      { path: "data.bin", content: Buffer.from([0, 255, 254]), executable: false },
    ];
    const { digest, data } = packBundle(files);
    expect(Buffer.from(toBinary(BundleSchema, bundle))).toEqual(Buffer.from(data));
    expect(asked.map(({ method }) => method)).toEqual(["putBundle", "putSkill", "watchApplied"]);
    expect(asked[1]).toMatchObject({ request: { skill: { id: "notes", digest, agents: ["*"], etag: "" } } });
    expect((await run("add", notes())).stderr).toContain("skill notes is like that already");
    expect(asked.slice(3)).toMatchObject([{ method: "putSkill", request: { skill: { agents: ["*"], etag: "e2" } } }]);
  });

  it("shows which files change and keeps the agents, also when somebody else changes it in between", async () => {
    put("notes/SKILL.md", skillText("notes"));
    put("notes/old.md", "old");
    put("notes/same.md", "same");
    await run("add", notes(), "--agent", "one", "--agent", "two");
    rmSync(join(folder, "notes/old.md"));
    put("notes/new.md", "new");
    put("notes/SKILL.md", skillText("notes", "More.\n"));
    conflicts = 2;
    const { code, stdout } = await run("add", notes());
    expect(code).toBe(0);
    expect(stdout).toMatch(/^~ skill notes\n/);
    expect(stdout).toContain("Changed: ~ SKILL.md, + new.md, - old.md\n");
    expect(stored?.agents).toEqual(["one", "two"]);
    await run("add", notes(), "--agent", "*");
    expect(stored?.agents).toEqual(["*"]);
  });

  it("takes archives of any name, and goes on after one that is no skill", async () => {
    put("good.zip", makeZip([{ name: "notes-1.2/SKILL.md", content: skillText("notes") }]));
    put("bad/SKILL.md", skillText("worse"));
    put("worse/SKILL.md", "---\nnmae: x\ndescription:\n---\n");
    put("evil.zip", makeZip([{ name: "../../x" }]));
    const added = await run("add", ...["bad", "worse", "evil.zip", "good.zip"].map((name) => join(folder, name)));
    expect(added.code).toBe(1);
    expect(added.stdout).toMatch(/^\+ skill notes\n/);
    expect(added.stderr).toMatch(/worse is no skill as it stands\n {2}SKILL\.md:\d+: .*\n {2}SKILL\.md:\d+: /);
    expect(added.stderr).toMatch(/bad is no skill as it stands \(SKILL\.md:2: .*"?bad/);
    expect(added.stderr).toMatch(/evil\.zip can't be used as a skill \("\.\.\/\.\.\/x" leads out of the skill\)/);
    expect(asked.map(({ method }) => method)).toEqual(["putBundle", "putSkill"]);
  });
});

describe("hermit skills check", () => {
  it("needs no gateway, and tells every problem with its line", async () => {
    put("notes/SKILL.md", skillText("notes"));
    put("other/SKILL.md", "---\nname: Other\n---\n");
    const offline = (...args: string[]) => runHermit(["skills", "check", ...args]);
    expect(await offline(notes())).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/notes: skill notes, 1 file, /),
    });
    const wrong = await offline(join(folder, "other"));
    expect(wrong).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("SKILL.md:2: ") });
    expect(wrong.stderr).toContain("description");
    const both = await offline(notes(), join(folder, "other"), join(folder, "none"), "-o", "json");
    expect(both).toMatchObject({ code: 1, stderr: expect.stringContaining("it does not exist") });
    expect(JSON.parse(both.stdout)).toMatchObject([
      { name: "notes", fileCount: 1, problems: [], digest: expect.stringMatching(/^sha256:/) },
      { problems: [{ path: "SKILL.md", line: 2 }, { path: "SKILL.md" }] },
    ]);
  });
});

describe("hermit skills", () => {
  beforeEach(() => {
    bundle = create(BundleSchema, {
      files: [
        { path: "SKILL.md", content: Buffer.from("text\u001b[31m\n") },
        { path: "logo.png", content: Buffer.from([137, 80, 255]) },
        { path: "scripts/sum.sh", content: Buffer.from("#!/bin/sh\n"), executable: true },
      ],
    });
    stored = create(SkillSchema, {
      id: "notes",
      digest: `sha256:${"a".repeat(64)}`,
      agents: ["*"],
      disabledAgents: ["two"],
      fileCount: 3,
      sizeBytes: 4000n,
      description: { name: "notes", description: "Takes notes.", allowedTools: "Read Write" },
    });
  });

  it("lists and gets them", async () => {
    const { stdout } = await run("list");
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["SKILL", "AGENTS", "FILES", "SIZE", "CHANGED", "DESCRIPTION"],
      ["notes", "* except two", "3", "3.9 KiB", "- ago", "Takes notes."],
      [""],
    ]);
    expect(await run("get", "notes")).toMatchObject({
      stdout: expect.stringMatching(/every agent except two[^]*Read Write/),
    });
    expect((await run("get", "note")).stderr).toContain("did you mean notes?\nnext: bin/hermit skills list");
  });

  it("prints a file as it is, and says which there are", async () => {
    // What a program reads is not touched.
    expect((await run("show", "notes")).stdout).toBe("text\u001b[31m\n");
    expect((await run("show", "notes", "./scripts/sum.sh")).stdout).toBe("#!/bin/sh\n");
    expect((await run("show", "notes", "sum.sh")).stderr).toContain("did you mean scripts/sum.sh?");
    expect((await run("show", "notes", "--files", "-o", "name")).stdout).toBe("SKILL.md\nlogo.png\nscripts/sum.sh\n");
  });

  it("are given, taken and removed", async () => {
    expect((await run("enable", "notes", "--agent", "two", "--wait")).stderr).toContain(
      "notes is now used by agent two\n",
    );
    expect((await run("disable", "notes", "--agent", "one")).stderr).toContain(
      "notes is not used by agent one anyway\n",
    );
    expect(await run("remove", "notes")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("remove notes --yes"),
    });
    expect((await run("remove", "notes", "--yes")).code).toBe(0);
    expect(asked.map(({ method }) => method)).toEqual(["enableSkill", "watchApplied", "disableSkill", "deleteSkill"]);
  });
});
