import type { ConnectRouter } from "@connectrpc/connect";
import { SkillService } from "@openhermit/protocol/catalog/v1/skill_service";
import { ChangeAction, ManifestService } from "@openhermit/protocol/manifest/v1/manifest_service";
import { packBundle } from "@openhermit/skill-bundle";
import { describe, expect, it } from "vitest";
import { planningGateway, useManifestFolder } from "../test/manifest-gateway.ts";
import { runHermit } from "../test/run-hermit.ts";

const { path, put, serve } = useManifestFolder();

describe("skills of a manifest", () => {
  const SKILL = "---\nname: report\ndescription: Writes reports.\n---\nWrite.\n";
  const file = (name: string, text: string) => ({ path: name, content: Buffer.from(text), executable: false });

  function collecting(changed: readonly string[]) {
    const stored: string[] = [];
    const changes = changed.map((resourceId) => ({ action: ChangeAction.CREATE, resourceType: "skill", resourceId }));
    const { routes, planned, applied } = planningGateway();
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
    const manifestFile = put("agents.yaml", manifest);
    const { digest } = packBundle([file("SKILL.md", SKILL), file("more.md", "more")]);
    expect(await runHermit(["diff", "-f", manifestFile], { home })).toMatchObject({ code: 2, stderr: "" });
    expect(stored).toEqual([]);
    expect(await runHermit(["apply", "-f", manifestFile], { home })).toMatchObject({ code: 0, stderr: "" });
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
    const manifestFile = put("agents.yaml", manifest.join("\n"));
    const ended = await runHermit(["apply", "-f", manifestFile], { home });
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toContain(`${path("skills/report/SKILL.md")}:2 `);
    expect(ended.stderr).toContain(`${manifestFile}:4:11 skills.gone.path: the skill `);
    expect(ended.stderr).toContain(`${manifestFile}:5:18 skills.empty.path: the folder has no SKILL.md`);
    expect(calls).toEqual([]);
  });
});
