import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { processesNaming } from "../fixture/processes-left.ts";
import { ROOT, startFleet, type Ended, type RunningFleet } from "../fixture/running-fleet.ts";
import { send } from "../fixture/send.ts";

const AGENTS = ["one", "two", "three"];
const EVERYTHING = join(ROOT, "node_modules/@modelcontextprotocol/server-everything/dist/index.js");
const GATE = join(ROOT, "tests/fixture/gate-mcp-server.ts");
// An agent's servers work in its workspace, which is named for it.
const PICKY = `if (process.cwd().endsWith("/two")) { console.error("no licence for two"); process.exit(3); } await import(${JSON.stringify(GATE)});`;
const MANIFEST = `
defaults: { model: offline/echo }
agents: { one: {}, two: {}, three: {} }
mcpServers:
  everything: { command: node, args: [${JSON.stringify(EVERYTHING)}, stdio], agents: [] }
  hangs: { command: node, args: ["-e", "setInterval(() => {}, 1000)"], connectTimeout: 10m, agents: [] }
  picky: { command: node, args: ["--input-type=module", "-e", ${JSON.stringify(PICKY)}], agents: [] }
`;

let fleet: RunningFleet;
beforeAll(async () => {
  fleet = await startFleet({ manifest: MANIFEST });
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  expect(processesNaming(fleet.home)).toEqual([]);
});

// Also after a test that failed in its middle.
afterEach(async () => {
  for (const mcpServerId of ["everything", "hangs", "picky"]) {
    await fleet.clients.catalog.disableMcpServer({ mcpServerId, agentId: "*" });
  }
});

const each = (message: string, agents: readonly string[] = AGENTS): Promise<string[]> =>
  Promise.all(
    agents.map(async (agent) => {
      const { turn } = await send(fleet.clients.sessions, agent, message);
      expect([agent, turn.error?.message ?? "", turn.state]).toEqual([agent, "", TurnState.SUCCEEDED]);
      return turn.answer;
    }),
  );
const ECHO = "use everything__echo to say hello";
const WITH = expect.stringContaining("Echo: hello") as string;
const enable = (server: string, ...more: string[]): Promise<Ended> =>
  fleet.hermit(["mcp", "enable", server, "--agent", "*", "--wait", ...more]);
const status = async (server: string): Promise<string> => (await fleet.hermit(["mcp", "status", server])).stdout;

test("a server that hangs for all: each agent has applied it at once, turns and other servers go on, and the status says why", async () => {
  const hanging = await enable("hangs", "--timeout", "2s");
  expect(hanging.code).toBe(1);
  expect(hanging.stderr).toContain("3 of 3 applied");
  expect(hanging.stderr).toContain("0 of 3 connected");
  for (const agent of AGENTS) expect(hanging.stderr).toMatch(new RegExp(`^ +${agent} +connecting`, "m"));
  for (const answer of await each("how are you?")) expect(answer).toContain("how are you?");
  const other = await enable("everything");
  expect([other.code, other.stderr]).toEqual([0, expect.stringContaining("3 of 3 connected") as string]);
  expect(await each(ECHO)).toEqual([WITH, WITH, WITH]);

  const { mcpServer } = await fleet.clients.catalog.getMcpServer({ mcpServerId: "hangs" });
  const connectTimeout = create(DurationSchema, { seconds: 1n });
  await fleet.clients.catalog.putMcpServer({ mcpServer: { ...(mcpServer as McpServer), connectTimeout } });
  const shown = await waitFor(
    async () => {
      const text = await status("hangs");
      return AGENTS.every((agent) => new RegExp(`^${agent} +down\\b`, "m").test(text)) ? text : undefined;
    },
    { deadlineMs: 20_000, what: "the server to be down for all" },
  );
  for (const agent of AGENTS) expect(shown).toMatch(new RegExp(`^${agent} +down\\b.*(within|after|answer).*1 ?s`, "m"));
  expect(await each(ECHO)).toEqual([WITH, WITH, WITH]);
  expect(await fleet.hermit(["mcp", "disable", "hangs", "--agent", "*", "--wait"])).toMatchObject({ code: 0 });
  expect(await status("hangs")).not.toMatch(/^(one|two|three)\b/m);
}, 60_000);

test("a server that fails for one agent: the others use it at once, that one goes on without it, and the reason shows", async () => {
  const enabled = await enable("picky", "--timeout", "20s");
  expect(enabled.code).toBe(1);
  expect(enabled.stderr).toContain("3 of 3 applied");
  expect(enabled.stderr).toContain("2 of 3 connected");
  expect(enabled.stderr).toMatch(/^ +two +down: .*no licence for two/m);
  const answers = await each('use picky__wait with {"file":"/"}');
  expect(answers[0]).toContain("opened in process");
  expect(answers[1]).toContain('I have no tool "picky__wait"');
  expect(answers[2]).toContain("opened in process");
  const shown = await status("picky");
  expect(shown).toMatch(/^one +connected +1\b/m);
  expect(shown).toMatch(/^two +down .*no licence for two/m);
  expect(shown).toMatch(/^three +connected +1\b/m);
}, 60_000);

test("a sidecar that is stopped during a change is behind meanwhile, and catches up as the same process", async () => {
  const pid = fleet.sidecarPid("three");
  process.kill(pid, "SIGSTOP");
  try {
    const enabled = await enable("everything", "--timeout", "2s");
    expect(enabled.code).toBe(1);
    expect(enabled.stderr).toContain("2 of 3 applied");
    expect(enabled.stderr).toMatch(/^ +three +\w+/m);
    expect(await each(ECHO, ["one", "two"])).toEqual([WITH, WITH]);
    const { stdout } = await fleet.hermit(["agents", "list"]);
    expect(stdout).toMatch(/^three\b.*behind/m);
    expect(stdout).not.toMatch(/^(one|two)\b.*behind/m);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await waitFor(
    async () => {
      const { agent } = await fleet.clients.fleet.getAgent({ agentId: "three" });
      const { appliedGeneration = 0n, desiredGeneration = 1n } = agent?.status ?? {};
      return appliedGeneration >= desiredGeneration;
    },
    { deadlineMs: 30_000, what: "the agent to catch up" },
  );
  expect(await each(ECHO)).toEqual([WITH, WITH, WITH]);
  expect(fleet.sidecarPid("three")).toBe(pid);
}, 60_000);
