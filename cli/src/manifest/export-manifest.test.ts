import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { ManifestService, type ExportManifestRequest } from "@openhermit/protocol/manifest/v1/manifest_service";
import { packBundle, type BundleFile } from "@openhermit/skill-bundle";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const MANIFEST = "agents:\n  one:\n    model: offline/echo\n";

let gateway: TestGateway | undefined;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "openhermit-export-"));
});
afterEach(async () => {
  await gateway?.close();
  rmSync(folder, { recursive: true });
});

const file = (path: string, content = "x", executable = false): BundleFile => ({
  path,
  content: Buffer.from(content),
  executable,
});
const SKILL = [file("SKILL.md", "---\nname: report\n---\n"), file("bin/run.sh", "#!/bin/sh\n", true)];

async function serving(options: { plainValueCount?: number; skillIds?: string[]; files?: BundleFile[] } = {}) {
  const { plainValueCount = 0, skillIds = [], files = SKILL } = options;
  const requests: ExportManifestRequest[] = [];
  const routes = (router: ConnectRouter): void => {
    router.service(ManifestService, {
      exportManifest: (request) => {
        requests.push(request);
        return { manifest: MANIFEST, skillIds, plainValueCount };
      },
    });
    router.service(SkillService, {
      getBundle: ({ skillId }) => {
        if (!skillIds.includes(skillId)) throw new ConnectError("no", Code.NotFound);
        return { digest: packBundle(files).digest, bundle: { files: [...files] } };
      },
    });
  };
  gateway = await startTestGateway(routes);
  return { home: gateway.home, requests };
}

const mode = (path: string): string => (statSync(join(folder, path)).mode & 0o777).toString(8);

it("prints the manifest alone to stdout, and to stderr what to know of it", async () => {
  const { home, requests } = await serving({ plainValueCount: 2, skillIds: ["report"] });
  const ended = await runHermit(["export", "one", "two"], { home });
  expect(ended).toMatchObject({ code: 0, stdout: MANIFEST });
  expect(ended.stderr).toMatch(/^the skill is named by digest, .*--dir DIR/);
  expect(ended.stderr).toContain("warning: 2 values of environments and headers stand in it as they are");
  expect(requests).toMatchObject([{ agentIds: ["one", "two"], skillPaths: false }]);
});

it("writes a folder for its owner alone when values stand in it, with the files of the skills", async () => {
  const { home, requests } = await serving({ plainValueCount: 1, skillIds: ["report"] });
  const ended = await runHermit(["export", "-d", join(folder, "deep/fleet")], { home });
  expect(ended).toMatchObject({ code: 0, stdout: "" });
  expect(ended.stderr).toContain("warning: 1 value of environments and headers stands in ");
  expect(requests).toMatchObject([{ agentIds: [], skillPaths: true }]);
  expect(readFileSync(join(folder, "deep/fleet/agents.yaml"), "utf8")).toBe(MANIFEST);
  expect(readFileSync(join(folder, "deep/fleet/skills/report/bin/run.sh"), "utf8")).toBe("#!/bin/sh\n");
  expect(
    ["", "/agents.yaml", "/skills", "/skills/report", "/skills/report/SKILL.md", "/skills/report/bin/run.sh"].map(
      (path) => mode(`deep/fleet${path}`),
    ),
  ).toEqual(["700", "600", "700", "700", "600", "700"]);
  expect(readdirSync(join(folder, "deep/fleet"))).toEqual(["agents.yaml", "skills"]);
});

it("overwrites nothing unless told to, and then leaves nothing of what was", async () => {
  const { home } = await serving({ skillIds: ["report"] });
  mkdirSync(join(folder, "skills/report"), { recursive: true });
  writeFileSync(join(folder, "skills/report/old.md"), "old");
  writeFileSync(join(folder, "secret.md"), "mine");
  symlinkSync("secret.md", join(folder, "agents.yaml"));
  const refused = await runHermit(["export", "-d", folder], { home });
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain(`nothing was written: ${folder} has agents.yaml, skills/report already`);
  expect(refused.stderr).toContain("--force");
  expect(existsSync(join(folder, "skills/report/SKILL.md"))).toBe(false);
  expect(await runHermit(["export", "-d", folder, "--force"], { home })).toMatchObject({ code: 0 });
  expect(readdirSync(join(folder, "skills/report"))).toEqual(["SKILL.md", "bin"]);
  expect(readdirSync(join(folder, "skills"))).toEqual(["report"]);
  // Not what the link leads to is written, but the link is replaced.
  expect(lstatSync(join(folder, "agents.yaml")).isFile()).toBe(true);
  expect(readFileSync(join(folder, "secret.md"), "utf8")).toBe("mine");
});

it.each([
  ["a path that leads out", { skillIds: ["report"], files: [...SKILL, file("../../escaped")] }],
  ["an absolute path", { skillIds: ["report"], files: [...SKILL, file("/tmp/openhermit-escaped")] }],
  ["an id that leads out", { skillIds: ["../report"] }],
])("writes nothing for %s, whatever the gateway sends", async (_, sent) => {
  const { home } = await serving(sent);
  const ended = await runHermit(["export", "-d", join(folder, "fleet")], { home });
  expect(ended.code).toBe(1);
  expect(existsSync(join(folder, "escaped"))).toBe(false);
  expect(existsSync("/tmp/openhermit-escaped")).toBe(false);
  expect(existsSync(join(folder, "fleet/agents.yaml"))).toBe(false);
});
