import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import {
  ChangeAction,
  ManifestProblemsSchema,
  ManifestService,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

async function serve(routes: (router: ConnectRouter) => void): Promise<TestGateway> {
  gateway = await startTestGateway(routes);
  return gateway;
}

describe("hermit apply", () => {
  it("prints what changed, and the problems of a manifest with file, line, column and hint", async () => {
    const folder = mkdtempSync(join(tmpdir(), "openhermit-manifest-"));
    const file = join(folder, "agents.yaml");
    writeFileSync(file, "agents:\n  one: { modle: x }\n");
    let request: { baseDirectory: string; manifest: string } | undefined;
    let answer: "changes" | "problems" = "changes";
    const { home } = await serve((router) =>
      router.service(ManifestService, {
        applyManifest: (sent) => {
          request = sent;
          if (answer === "changes") {
            return {
              changes: [
                { action: ChangeAction.CREATE, resourceType: "agent", resourceId: "one" },
                {
                  action: ChangeAction.UPDATE,
                  resourceType: "agent",
                  resourceId: "two",
                  fields: [{ path: "model", before: "offline/echo", after: "openai/x" }],
                },
              ],
              unchangedCount: 3,
            };
          }
          const problem = {
            fileName: sent.fileName,
            line: 2,
            column: 10,
            path: "agents.one.modle",
            message: 'unknown key "modle"',
          };
          throw new ConnectError("bad", Code.InvalidArgument, undefined, [
            { desc: ManifestProblemsSchema, value: { problems: [{ ...problem, hint: 'did you mean "model"?' }] } },
          ]);
        },
      }),
    );
    const applied = await runHermit(["apply", "-f", file], { home });
    expect(applied).toMatchObject({
      code: 0,
      stdout:
        "+ agent one\n~ agent two\n    model: offline/echo → openai/x\nApplied: 1 created, 1 updated, 3 unchanged.\n",
    });
    expect(request).toMatchObject({ baseDirectory: folder, manifest: "agents:\n  one: { modle: x }\n" });
    answer = "problems";
    const refused = await runHermit(["apply", "-f", file], { home });
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain(`${file}:2:10 agents.one.modle: unknown key "modle"\n`);
    expect(refused.stderr).toContain('did you mean "model"?');
    rmSync(folder, { recursive: true });
  });
});
