import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

/** Loads the runtime in a process of its own and prints which packages that brought in. */
const SCRIPT = `
  import { registerHooks } from "node:module";
  const seen = new Set();
  registerHooks({ resolve(specifier, context, next) { seen.add(specifier); return next(specifier, context); } });
  const { createAgentRuntime } = await import(process.argv[1]);
  const silent = { child: () => silent, info() {}, warn() {}, error() {}, debug() {} };
  const runtime = createAgentRuntime({ agentId: "one", workspace: "/tmp", log: silent, telemetry: {}, env: {}, owner: "lean", onHealthChanged() {} });
  const provider = { $typeName: "openhermit.fleet.v1.Provider", name: "p", kind: 1, baseUrl: "", apiKeyEnv: "", builtin: false };
  await runtime.apply({ agentId: "one", spec: { model: "p/m", instructions: "" }, provider, mcpServers: [], skills: [] });
  await runtime.close();
  console.log(JSON.stringify([...seen].filter((one) => /^@?[a-z]/.test(one) && !one.startsWith("node:"))));
`;

test("a runtime loads neither the MCP client nor a provider's package nor what deals with skills before it needs them", async () => {
  const runtime = new URL("./agent-runtime.ts", import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", SCRIPT, runtime.href], {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
  });
  const loaded = JSON.parse(stdout) as string[];
  expect(loaded).toContain("@openhermit/errors");
  expect(
    loaded.filter((name) => /^(@ai-sdk|@modelcontextprotocol|@openhermit\/skill-bundle|yaml|zod|ai$)/.test(name)),
  ).toEqual([]);
});
