import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, type ConnectRouter, type ServiceImpl } from "@connectrpc/connect";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import {
  ChangeAction,
  DriftKind,
  ManifestProblemsSchema,
  ManifestService,
  type ApplyManifestRequest,
  type PlanManifestRequest,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import { packBundle } from "@openhermit/skill-bundle";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

let gateway: TestGateway | undefined;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "openhermit-manifest-"));
});
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
  rmSync(folder, { recursive: true });
});

async function serve(routes: (router: ConnectRouter) => void): Promise<TestGateway> {
  gateway = await startTestGateway(routes);
  return gateway;
}

function put(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const conflict = (reason: string, hint = ""): ConnectError =>
  new ConnectError("the fleet has changed since the plan", Code.Aborted, undefined, [
    { desc: ErrorDetailSchema, value: { reason, hint } },
  ]);

/** A gateway whose plan is always to create one agent and change another. */
function planning(more: Partial<ServiceImpl<typeof ManifestService>> = {}) {
  const planned: PlanManifestRequest[] = [];
  const applied: ApplyManifestRequest[] = [];
  const changes = [
    {
      action: ChangeAction.CREATE,
      resourceType: "agent",
      resourceId: "one",
      fields: [{ path: "model", after: "openai/x" }],
    },
    {
      action: ChangeAction.UPDATE,
      resourceType: "agent",
      resourceId: "two",
      fields: [
        { path: "model", before: "offline/echo", after: "openai/x" },
        { path: "turnLimits.timeout", after: "5m" },
      ],
    },
  ];
  const routes = (router: ConnectRouter): void => {
    router.service(ManifestService, {
      planManifest: (request) => {
        planned.push(request);
        return { changes, unchangedCount: 3, planToken: "tok" };
      },
      applyManifest: (request) => {
        applied.push(request);
        return { changes, unchangedCount: 3 };
      },
      ...more,
    });
    router.service(FleetService, {
      async *watchApplied({ agentIds }) {
        const behind = agentIds.map((agentId) => ({
          agentId,
          state: AgentState.ONLINE,
          rejectedReason: "no such model",
        }));
        if (agentIds.length === 0) yield { totalCount: 2, appliedCount: 2 };
        else yield { totalCount: agentIds.length, appliedCount: 0, behind, behindCount: behind.length };
      },
    });
  };
  return { planned, applied, routes };
}

const PLAN = `+ agent one
    model: openai/x
~ agent two
    model:              offline/echo → openai/x
    turnLimits.timeout: (not set) → 5m
Plan: 1 to create, 1 to update, 0 to delete (plan tok)
`;

describe("hermit diff", () => {
  it("prints the plan and its token, and ends with 2", async () => {
    const { routes, planned } = planning();
    const { home } = await serve(routes);
    const file = put("agents.yaml", "agents: { one: }\n");
    expect(await runHermit(["diff", "-f", file], { home })).toEqual({ code: 2, stdout: PLAN, stderr: "" });
    expect(planned[0]).toMatchObject({
      prune: false,
      manifest: { files: [{ name: file, text: "agents: { one: }\n", baseDirectory: folder }] },
    });
  });

  it("ends with 0 and says so when nothing would change", async () => {
    const { home } = await serve(planning({ planManifest: () => ({ unchangedCount: 3, planToken: "t" }) }).routes);
    const ended = await runHermit(["diff", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended).toEqual({
      code: 0,
      stdout: `No changes. The fleet matches ${join(folder, "a.yaml")}.\n`,
      stderr: "",
    });
  });

  it("carries the counts in JSON, in lines and in YAML", async () => {
    const { home } = await serve(planning().routes);
    const file = put("agents.yaml", "agents: {}");
    const run = async (format: string) => {
      const { code, stdout } = await runHermit(["diff", "-f", file, "-o", format], { home });
      expect(code).toBe(2);
      return stdout;
    };
    const counts = { create: 1, update: 1, delete: 0, unchanged: 3 };
    expect(JSON.parse(await run("json"))).toMatchObject({
      changes: [{ resourceId: "one", action: "CHANGE_ACTION_CREATE" }, { resourceId: "two" }],
      counts,
      planToken: "tok",
    });
    const lines = (await run("jsonl")).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { resourceId: "one" },
      { resourceId: "two" },
      { counts, planToken: "tok" },
    ]);
    expect(await run("yaml")).toContain("counts:\n  create: 1\n");
  });

  it("sends several files, a folder and stdin as one manifest, and only the variables that it declares", async () => {
    const { routes, planned } = planning();
    const { home } = await serve(routes);
    put("fleet/b.yaml", "environment: [REGION, NOT_SET]\nagents: {}\n");
    put("fleet/a.json", '{"environment": ["TIER"]}');
    put("fleet/notes.txt", "environment: [NOTES]");
    put("fleet/.hidden.yaml", "environment: [HIDDEN]");
    put("fleet/deeper/c.yaml", "environment: [DEEPER]");
    const env = { REGION: "north", TIER: "gold", NOTES: "x", HIDDEN: "x", DEEPER: "x", OTHER: "secret" };
    const ended = await runHermit(["diff", "-f", join(folder, "fleet"), "-f", "-"], {
      home,
      env,
      input: "environment:\n  - OTHER_ONE\n",
    });
    expect(ended.code).toBe(2);
    expect(planned[0]?.manifest?.files.map(({ name }) => name.replace(folder, ""))).toEqual([
      "/fleet/a.json",
      "/fleet/b.yaml",
      "stdin",
    ]);
    expect(planned[0]?.manifest?.variables).toEqual({ REGION: "north", TIER: "gold" });
  });

  it("tells every problem with its place in the right file, and what to do", async () => {
    const first = put("a.yaml", "agents: {}\n");
    const second = put("b.yaml", "agents:\n  one: { modle: x }\n");
    const problem = { fileName: second, line: 2, column: 10, path: "agents.one.modle", message: 'unknown key "modle"' };
    const { home } = await serve(
      planning({
        planManifest: () => {
          throw new ConnectError("bad", Code.InvalidArgument, undefined, [
            {
              desc: ManifestProblemsSchema,
              value: {
                problems: [
                  { ...problem, hint: 'did you mean "model"?' },
                  { fileName: first, message: "no agent has a model", path: "agents" },
                ],
              },
            },
          ]);
        },
      }).routes,
    );
    expect(await runHermit(["diff", "-f", first, "-f", second], { home })).toEqual({
      code: 1,
      stdout: "",
      stderr: [
        "error: 2 files have 2 problems; nothing was changed",
        `  ${second}:2:10 agents.one.modle: unknown key "modle"`,
        '      did you mean "model"?',
        `  ${first} agents: no agent has a model`,
        `next: mend them, then again: bin/hermit diff -f ${first} -f ${second}`,
        "",
      ].join("\n"),
    });
  });

  it("ends with 4 without a login", async () => {
    const { home } = await serve(planning().routes);
    const env = { OPENHERMIT_TOKEN: "wrong" };
    expect((await runHermit(["diff", "-f", put("a.yaml", "agents: {}")], { home, env })).code).toBe(4);
  });
});

describe("hermit apply", () => {
  it("shows the plan and applies exactly it", async () => {
    const { routes, applied } = planning();
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended).toEqual({ code: 0, stdout: `${PLAN}Applied: 1 created, 1 updated, 0 deleted.\n`, stderr: "" });
    expect(applied).toMatchObject([{ planToken: "tok", prune: false, dryRun: false, manifest: "" }]);
  });

  it("changes nothing with --dry-run, and ends with 0", async () => {
    const { routes, applied } = planning();
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}"), "--dry-run"], { home });
    expect(ended).toEqual({ code: 0, stdout: PLAN, stderr: "" });
    expect(applied).toEqual([]);
  });

  it("applies nothing when nothing changes", async () => {
    const { routes, applied } = planning({ planManifest: () => ({ unchangedCount: 3 }) });
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^No changes\. The fleet matches .*\.\n$/) });
    expect(applied).toEqual([]);
  });

  it("plans once more and shows it when the fleet has moved; then it is a conflict with 5", async () => {
    let refusals = 1;
    const file = put("a.yaml", "agents: {}");
    const { routes } = planning({
      applyManifest: () => {
        if ((refusals -= 1) >= 0) throw conflict("PLAN_STALE");
        return { changes: [{ action: ChangeAction.CREATE }] };
      },
    });
    const { home, calls } = await serve(routes);
    const ended = await runHermit(["apply", "-f", file], { home });
    expect(ended).toMatchObject({
      code: 0,
      stdout: `${PLAN}${PLAN}Applied: 1 created, 0 updated, 0 deleted.\n`,
      stderr: expect.stringContaining("somebody has changed the fleet meanwhile"),
    });
    expect(calls).toEqual(["PlanManifest", "ApplyManifest", "PlanManifest", "ApplyManifest"]);
    refusals = 2;
    const refused = await runHermit(["apply", "-f", file], { home });
    expect(refused.code).toBe(5);
    expect(refused.stderr).toContain("error: others are changing the fleet; nothing was changed\n");
    expect(refused.stderr).toContain(`bin/hermit apply -f ${file}; bin/hermit audit`);
  });

  it("carries out the plan of a token or nothing", async () => {
    const { routes, applied } = planning();
    const { home } = await serve(routes);
    const file = put("a.yaml", "agents: {}");
    const other = await runHermit(["apply", "-f", file, "--plan", "other", "--prune"], { home });
    expect(other).toMatchObject({ code: 5, stdout: "" });
    expect(other.stderr).toContain("error: the plan is stale; nothing was changed\n");
    expect(other.stderr).toContain(
      `next: look at the plan as it is now, and apply its token: bin/hermit diff -f ${file} --prune\n`,
    );
    expect(applied).toEqual([]);
    expect((await runHermit(["apply", "-f", file, "--plan", "tok"], { home })).code).toBe(0);
    expect(applied).toMatchObject([{ planToken: "tok" }]);
  });

  it("says of another apply under way what to do, and ends with 1", async () => {
    const { routes } = planning({
      applyManifest: () => {
        throw conflict("APPLY_IN_PROGRESS", "Apply again.");
      },
    });
    const { home } = await serve(routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("next: ");
  });

  it("waits for the agents it changes, and ends with 1 when one rejects it", async () => {
    const { home } = await serve(planning().routes);
    const file = put("a.yaml", "agents: {}");
    const ended = await runHermit(["apply", "-f", file, "--wait"], { home });
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain("Applied: 1 created");
    expect(ended.stderr).toMatch(/^0 of 2 applied after .*behind:\n {2}one {2}rejected: no such model\n {2}two /m);
    const json = await runHermit(["apply", "-f", file, "--wait", "-o", "json", "--timeout", "2s"], { home });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ allApplied: false, counts: { create: 1 } });
  });

  it("waits for all in reach when it changed nothing", async () => {
    const { home } = await serve(planning({ planManifest: () => ({}) }).routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}"), "--wait"], { home });
    expect(ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/2 of 2 applied \(/) });
  });

  it("prints names that say of what kind they are", async () => {
    const { home } = await serve(planning().routes);
    const ended = await runHermit(["apply", "-f", put("a.yaml", "agents: {}"), "-o", "name"], { home });
    expect(ended.stdout).toBe("agent/one\nagent/two\n");
  });

  it("deletes only with --yes where nobody can be asked, and names what", async () => {
    const gone = { action: ChangeAction.DELETE, resourceType: "agent", resourceId: "old", fields: [] };
    const { routes, applied } = planning({ planManifest: () => ({ changes: [gone], planToken: "tok" }) });
    const { home } = await serve(routes);
    const file = put("a.yaml", "agents: {}");
    const refused = await runHermit(["apply", "-f", file, "--prune"], { home });
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringContaining("- agent old\n") });
    expect(refused.stderr).toContain("nothing was changed: it would delete agent old");
    expect(refused.stderr).toContain(`next: bin/hermit apply -f ${file} --prune --plan tok --yes`);
    expect(applied).toEqual([]);
    expect((await runHermit(["apply", "-f", file, "--prune", "--yes"], { home })).code).toBe(0);
    expect(applied).toMatchObject([{ prune: true, planToken: "tok" }]);
  });
});

describe("skills of a manifest", () => {
  const SKILL = "---\nname: report\ndescription: Writes reports.\n---\nWrite.\n";
  const file = (path: string, text: string) => ({ path, content: Buffer.from(text), executable: false });

  function collecting(changed: readonly string[]) {
    const stored: string[] = [];
    const changes = changed.map((resourceId) => ({ action: ChangeAction.CREATE, resourceType: "skill", resourceId }));
    const { routes, planned, applied } = planning();
    const all = (router: ConnectRouter): void => {
      routes(router);
      router.service(ManifestService, {
        planManifest: (request) => {
          planned.push(request);
          return { changes, planToken: "tok" };
        },
        applyManifest: (request) => {
          applied.push(request);
          return { changes };
        },
      });
      router.service(SkillService, {
        putBundle: ({ bundle }) => {
          const { digest } = packBundle(bundle?.files ?? []);
          stored.push(digest);
          return { digest };
        },
      });
    };
    return { routes: all, stored, planned, applied };
  }

  it("sends digests, and the files of those only that the plan changes", async () => {
    const { routes, stored, planned, applied } = collecting(["report"]);
    const { home } = await serve(routes);
    put("skills/report/SKILL.md", SKILL);
    put("skills/report/more.md", "more");
    put("skills/other/SKILL.md", SKILL.replace("report", "other"));
    const manifest = "skills:\n  report: { path: ./skills/report, agents: '*' }\n  other: { path: skills/other }\n";
    const path = put("agents.yaml", manifest);
    const { digest } = packBundle([file("SKILL.md", SKILL), file("more.md", "more")]);
    expect(await runHermit(["diff", "-f", path], { home })).toMatchObject({ code: 2, stderr: "" });
    expect(stored).toEqual([]);
    expect(await runHermit(["apply", "-f", path], { home })).toMatchObject({ code: 0, stderr: "" });
    expect(stored).toEqual([digest]);
    expect(planned[1]?.manifest?.bundles).toEqual({ report: digest, other: expect.stringMatching(/^sha256:/) });
    expect(applied[0]?.source?.bundles).toEqual(planned[1]?.manifest?.bundles);
  });

  it("tells what is wrong with a skill like what is wrong with the manifest, and sends nothing", async () => {
    const { routes } = collecting([]);
    const { home, calls } = await serve(routes);
    put("skills/report/SKILL.md", SKILL.replace("name: report", "name: Report"));
    put("skills/empty/notes.md", "x");
    const manifest = [
      "skills:",
      "  report: { path: skills/report }",
      "  gone:",
      "    path: skills/gone",
      "  empty: { path: skills/empty }",
    ];
    const path = put("agents.yaml", manifest.join("\n"));
    const ended = await runHermit(["apply", "-f", path], { home });
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toContain(`${join(folder, "skills/report/SKILL.md")}:2 `);
    expect(ended.stderr).toContain(`${path}:4:11 skills.gone.path: the skill `);
    expect(ended.stderr).toContain(`${path}:5:18 skills.empty.path: the folder has no SKILL.md`);
    expect(calls).toEqual([]);
  });
});

describe("hermit drift", () => {
  const drifts = [
    {
      kind: DriftKind.CHANGED,
      resourceType: "agent",
      resourceId: "one",
      fields: [{ path: "model", before: "offline/echo", after: "openai/x" }],
      actor: "member:alice",
      action: "agents.update",
      time: timestampFromMs(Date.now() - 190_000),
    },
    {
      kind: DriftKind.ADDED,
      resourceType: "mcp-server",
      resourceId: "files",
      fields: [{ path: "command", after: "npx" }],
    },
    {
      kind: DriftKind.MISSING,
      resourceType: "agent",
      resourceId: "two",
      actor: "local-operator",
      action: "agents.delete",
    },
  ];

  it("says who changed what and when, and ends with 2", async () => {
    const { home } = await serve(planning({ detectDrift: () => ({ drifts, unchangedCount: 4 }) }).routes);
    const path = put("a.yaml", "agents: {}");
    const ended = await runHermit(["drift", "-f", path], { home, env: { TZ: "UTC" } });
    expect(ended).toMatchObject({ code: 2, stderr: "" });
    expect(ended.stdout.replace(/\(\d{4}-\d\d-\d\d \d\d:\d\d\)/, "(WHEN)")).toBe(`~ agent one
    model: offline/echo → openai/x
    changed by member:alice 3 min ago (WHEN)
+ mcp-server files  only in the fleet
    command: npx
    added by: not known, the audit trail does not say
- agent two  missing in the fleet
    deleted by local-operator
Drift: 1 changed (manifest → fleet), 1 only in the fleet, 1 missing.
`);
    const json = await runHermit(["drift", "-f", path, "-o", "json"], { home });
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({
      drifts: [{ actor: "member:alice" }, {}, {}],
      counts: { changed: 1, added: 1, missing: 1, unchanged: 4 },
    });
  });

  it("ends with 0 when nothing differs", async () => {
    const { home } = await serve(planning({ detectDrift: () => ({ unchangedCount: 4 }) }).routes);
    const ended = await runHermit(["drift", "-f", "-"], { home, input: "agents: {}" });
    expect(ended).toEqual({ code: 0, stdout: "No drift. The fleet matches stdin.\n", stderr: "" });
  });
});

it("opens the help of each verb with examples, within 80 columns", async () => {
  for (const verb of ["diff", "apply", "drift", "export", "schema"]) {
    const { code, stdout } = await runHermit([verb, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Examples:\n {2}\$ hermit /);
    expect(stdout.split("\n").filter((line) => Array.from(line).length > 80)).toEqual([]);
  }
});
