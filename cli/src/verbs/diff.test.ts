import { Code, ConnectError } from "@connectrpc/connect";
import { ManifestProblemsSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { describe, expect, it } from "vitest";
import { PLAN, planningGateway, useManifestFolder } from "../test/manifest-gateway.ts";
import { runHermit } from "../test/run-hermit.ts";

const { path, put, serve } = useManifestFolder();

describe("hermit diff", () => {
  it("prints the plan and its token, and ends with 2", async () => {
    const { routes, planned } = planningGateway();
    const { home } = await serve(routes);
    const file = put("agents.yaml", "agents: { one: }\n");
    expect(await runHermit(["diff", "-f", file], { home })).toEqual({ code: 2, stdout: PLAN, stderr: "" });
    expect(planned[0]).toMatchObject({
      prune: false,
      manifest: { files: [{ name: file, text: "agents: { one: }\n", baseDirectory: path(".") }] },
    });
  });

  it("ends with 0 and says so when nothing would change", async () => {
    const { home } = await serve(
      planningGateway({ planManifest: () => ({ unchangedCount: 3, planToken: "t" }) }).routes,
    );
    const ended = await runHermit(["diff", "-f", put("a.yaml", "agents: {}")], { home });
    expect(ended).toEqual({
      code: 0,
      stdout: `No changes. The fleet matches ${path("a.yaml")}.\n`,
      stderr: "",
    });
  });

  it("carries the counts in JSON, in lines and in YAML", async () => {
    const { home } = await serve(planningGateway().routes);
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
    const { routes, planned } = planningGateway();
    const { home } = await serve(routes);
    put("fleet/b.yaml", "environment: [REGION, NOT_SET]\nagents: {}\n");
    put("fleet/a.json", '{"environment": ["TIER"]}');
    put("fleet/notes.txt", "environment: [NOTES]");
    put("fleet/.hidden.yaml", "environment: [HIDDEN]");
    put("fleet/deeper/c.yaml", "environment: [DEEPER]");
    const env = { REGION: "north", TIER: "gold", NOTES: "x", HIDDEN: "x", DEEPER: "x", OTHER: "secret" };
    const ended = await runHermit(["diff", "-f", path("fleet"), "-f", "-"], {
      home,
      env,
      input: "environment:\n  - OTHER_ONE\n",
    });
    expect(ended.code).toBe(2);
    expect(planned[0]?.manifest?.files.map(({ name }) => name.replace(path("."), ""))).toEqual([
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
      planningGateway({
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
        "error: 2 files have 2 problems",
        `  ${second}:2:10 agents.one.modle: unknown key "modle"`,
        '      did you mean "model"?',
        `  ${first} agents: no agent has a model`,
        `next: mend them, then again: bin/hermit diff -f ${first} -f ${second}`,
        "",
      ].join("\n"),
    });
  });

  it("ends with 4 without a login", async () => {
    const { home } = await serve(planningGateway().routes);
    const env = { OPENHERMIT_TOKEN: "wrong" };
    expect((await runHermit(["diff", "-f", put("a.yaml", "agents: {}")], { home, env })).code).toBe(4);
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

it("completes files and folders", async () => {
  for (const words of [
    ["diff", "-f", ""],
    ["export", "--dir", ""],
    ["schema", "--out", ""],
  ]) {
    expect((await runHermit(["complete", "--", ...words])).stdout).toBe(":files\n");
  }
});
