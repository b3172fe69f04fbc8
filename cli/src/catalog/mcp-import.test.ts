import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { McpServerSchema } from "@openhermit/protocol/catalog/v1/mcp_server";
import {
  ChangeAction,
  ManifestProblemsSchema,
  ManifestService,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const FILES = create(McpServerSchema, {
  id: "files",
  transport: { case: "stdio", value: { command: "npx" } },
  agents: ["*"],
  disabledAgents: ["two"],
  callTimeout: { seconds: 300n },
});

let gateway: TestGateway;
let folder: string;
let asked: { method: string; request: object }[] = [];
const note = <T>(method: string, request: object, answer: T): T => {
  asked.push({ method, request });
  return answer;
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "openhermit-mcp-"));
  gateway = await startTestGateway((router) => {
    router.service(CatalogService, { listMcpServers: () => ({ mcpServers: [FILES] }) });
    router.service(ManifestService, {
      planManifest: (request) => {
        if (request.manifest?.files[0]?.text.includes("sse") === true) {
          throw new ConnectError("bad", Code.InvalidArgument, undefined, [
            {
              desc: ManifestProblemsSchema,
              value: {
                problems: [{ path: "mcpServers.old.type", message: '"sse" is not spoken', hint: "write http" }],
              },
            },
          ]);
        }
        const changes = [
          { action: ChangeAction.CREATE, resourceType: "mcp-server", resourceId: "search", fields: [] },
          {
            action: ChangeAction.UPDATE,
            resourceType: "mcp-server",
            resourceId: "files",
            fields: [{ path: "command", before: "npx", after: "node" }],
          },
        ];
        return note("planManifest", request, { changes, planToken: "plan-1" });
      },
      applyManifest: (request) => note("applyManifest", request, {}),
    });
  });
});
beforeEach(() => (asked = []));
afterAll(async () => {
  await gateway.close();
  rmSync(folder, { recursive: true, force: true });
});

const run = (args: readonly string[], env: Record<string, string> = {}, input = "") =>
  runHermit(args, { home: gateway.home, env, input });

describe("hermit mcp import", () => {
  const file = (value: object): string => {
    const path = join(folder, ".mcp.json");
    writeFileSync(path, JSON.stringify(value));
    return path;
  };
  const sent = () => {
    const plan = asked.find(({ method }) => method === "planManifest")?.request;
    const { files } = (plan as { manifest: { files: { text: string; baseDirectory: string }[] } }).manifest;
    return {
      ...(JSON.parse(files[0]?.text ?? "") as { mcpServers: { files: object } }),
      folder: files[0]?.baseDirectory,
    };
  };

  it("shows the plan and carries out exactly that; existing servers keep their agents and bounds", async () => {
    const mcpServers = {
      files: { command: "node", args: ["./x", "${TEXT}"], env: { A: "${TEXT}", K: "${secret.K_KEY}" }, cwd: "." },
      new: { type: "http", url: "https://x/${TEXT}" },
    };
    const imported = await run(["mcp", "import", file({ mcpServers })], { TEXT: "a${b}" });
    expect(imported).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\+ mcp-server search\n~ mcp-server files\n.*npx → node\n.*1 created, 1 updated/),
    });
    expect(imported.stderr).toContain("note: files: left out, since it has no meaning here: cwd");
    // What is no reference in the file is none in the manifest.
    expect(sent()).toMatchObject({
      folder,
      mcpServers: {
        files: {
          command: "node",
          args: ["./x", "a$${b}"],
          env: { A: "a$${b}", K: "${secret.K_KEY}" },
          agents: ["*"],
          disabledAgents: ["two"],
          callTimeout: "5m",
        },
        new: { type: "http", url: "https://x/a$${b}", agents: [] },
      },
    });
    expect(asked.at(-1)).toMatchObject({ method: "applyManifest", request: { planToken: "plan-1" } });
  });

  it("gives them to agents, reads stdin, and changes nothing with --dry-run", async () => {
    const input = JSON.stringify({ servers: { files: { command: "x" } } });
    const args = ["mcp", "import", "-", "--agent", "one", "--agent", "two", "--dry-run"];
    const planned = await run(args, {}, input);
    expect(planned).toMatchObject({ code: 0, stdout: expect.stringContaining("Plan: 1 to create, 1 to update") });
    expect(sent()).toMatchObject({ mcpServers: { files: { agents: ["one", "two"] } } });
    expect(sent().mcpServers.files).not.toHaveProperty("disabledAgents");
    expect(asked.map(({ method }) => method)).toEqual(["planManifest"]);
  });

  it("tells problems of the file and of the gateway, and then changes nothing", async () => {
    const unset = await run(["mcp", "import", file({ mcpServers: { a: { command: "${NOT_SET_HERE}" } } })]);
    expect(unset).toMatchObject({ code: 1, stderr: expect.stringContaining("the variable NOT_SET_HERE is not set") });
    const old = await run(["mcp", "import", file({ mcpServers: { old: { type: "sse", url: "https://x" } } })]);
    expect(old).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('  old.type: "sse" is not spoken; write http\n'),
    });
    expect(asked).toEqual([]);
  });
});
