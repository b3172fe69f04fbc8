import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { CatalogService } from "@openhermit/protocol/catalog/v1/catalog_service";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { AgentState, DesiredState } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const refusal = (reason: string, code: Code, message: string, fields: Record<string, string> = {}) =>
  new ConnectError(message, code, undefined, [{ desc: ErrorDetailSchema, value: { reason, fields } }]);
const minutesAgo = (minutes: number) => timestampFromDate(new Date(Date.now() - minutes * 60_000 - 500));

const FILES = create(McpServerSchema, {
  id: "files",
  transport: {
    case: "stdio",
    value: { command: "npx", args: ["-y", "a b"], env: { API_KEY: "plain", LEVEL: "info" } },
  },
  agents: ["*"],
  disabledAgents: ["two"],
  callTimeout: { seconds: 300n },
  etag: "e1",
});

let gateway: TestGateway;
let asked: { method: string; request: object }[] = [];
let servers: McpServer[] = [];
/** What is said of agent three in turn; the last one stays. */
let states: HealthState[] = [];
let rejected = "";
const note = <T>(method: string, request: object, answer: T): T => {
  asked.push({ method, request });
  return answer;
};
const serverOf = (id: string): McpServer => {
  const found = servers.find((server) => server.id === id);
  if (found) return found;
  throw refusal("MCP_SERVER_NOT_FOUND", Code.NotFound, `MCP server "${id}" does not exist`, { mcp_server_id: id });
};
const checkAgent = (agentId: string): void => {
  if (agentId === "*" || ["one", "two", "three"].includes(agentId)) return;
  throw refusal("AGENT_NOT_FOUND", Code.NotFound, `agent "${agentId}" does not exist`, { agent_id: agentId });
};

beforeAll(async () => {
  gateway = await startTestGateway((router) => {
    router.service(CatalogService, {
      listMcpServers: () => ({ mcpServers: servers }),
      getMcpServer: ({ mcpServerId }) => ({ mcpServer: serverOf(mcpServerId) }),
      putMcpServer: (request) =>
        note("putMcpServer", request, request.mcpServer ? { mcpServer: request.mcpServer } : {}),
      deleteMcpServer: (request) => note("deleteMcpServer", request, {}),
      enableMcpServer: (request) => {
        checkAgent(request.agentId);
        const mcpServer = serverOf(request.mcpServerId);
        return note("enableMcpServer", request, { mcpServer, changed: request.agentId !== "one" });
      },
      disableMcpServer: (request) => {
        checkAgent(request.agentId);
        const before = serverOf(request.mcpServerId);
        const agents = request.agentId === "*" ? ["three"] : before.agents;
        return note("disableMcpServer", request, { mcpServer: { ...before, agents }, changed: true });
      },
      getMcpServerStatus: ({ mcpServerId }) => {
        serverOf(mcpServerId);
        const state = (states.length > 1 ? states.shift() : states[0]) ?? HealthState.OK;
        return {
          agents: [
            {
              agentId: "one",
              enabled: true,
              byWildcard: true,
              state: HealthState.OK,
              toolCount: 13,
              since: minutesAgo(3),
            },
            // Stopped: nothing is to be expected of it.
            { agentId: "stopped", enabled: true, byWildcard: true, state: HealthState.OK, toolCount: 13 },
            {
              agentId: "three",
              enabled: true,
              state,
              since: minutesAgo(1),
              lastError: state === HealthState.DOWN ? "spawn x\u001b[31m ENOENT" : "",
              lastErrorTime: minutesAgo(2),
            },
            { agentId: "two", enabled: false, state: HealthState.OK, toolCount: 13 },
          ],
        };
      },
    });
    router.service(FleetService, {
      listAgents: () => ({
        agents: ["one", "stopped", "three", "two"].map((id) => ({
          id,
          status: { state: id === "stopped" ? AgentState.STOPPED : AgentState.ONLINE },
          desiredState: DesiredState.RUNNING,
        })),
      }),
      watchApplied: async function* (request) {
        note("watchApplied", request, undefined);
        const behind =
          rejected === "" ? [] : [{ agentId: "three", state: AgentState.ONLINE, rejectedReason: rejected }];
        yield { totalCount: 2, appliedCount: 2 - behind.length, behind, behindCount: behind.length, stoppedCount: 1 };
        if (rejected !== "") await new Promise(() => undefined);
      },
    });
  });
});
beforeEach(() => {
  asked = [];
  servers = [
    FILES,
    create(McpServerSchema, { id: "search", transport: { case: "http", value: { url: "https://x/mcp" } } }),
  ];
  states = [];
  rejected = "";
});
afterAll(() => gateway.close());

const run = (args: readonly string[]) => runHermit(args, { home: gateway.home });
const words = (line: string) => run(line.split(" "));

describe("hermit mcp list, get and remove", () => {
  it("shows who uses a server and how it is reached, and nothing that sounds secret", async () => {
    const { stdout } = await words("mcp list");
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["SERVER", "AGENTS", "CHANGED", "COMMAND OR URL"],
      ["files", "* except two", "- ago", "npx -y 'a b'"],
      ["search", "-", "- ago", "https://x/mcp"],
      [""],
    ]);
    const got = await words("mcp get files");
    expect(got.stdout).toContain("every agent except two");
    expect(got.stdout).toContain("API_KEY=(sensitive), LEVEL=info");
    expect(got.stdout).toContain("5m");
    expect(got.stdout).not.toContain("plain");
    expect((await words("mcp get fiels")).stderr).toContain("did you mean files?");
  });

  it("removes only after a confirmation", async () => {
    const refused = await words("mcp remove files");
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("next: bin/hermit mcp remove files --yes"),
    });
    expect(refused.stderr).toContain("every agent except two");
    expect(asked).toEqual([]);
    expect((await words("mcp rm files -y")).code).toBe(0);
    expect(asked).toMatchObject([{ method: "deleteMcpServer", request: { mcpServerId: "files" } }]);
  });
});

describe("hermit mcp add", () => {
  it("adds a program with its arguments, agents and secrets", async () => {
    const args = ["mcp", "add", "git", "--agent", "*", "--env", "LEVEL=a=b", "--secret-env", "GIT_TOKEN"];
    const added = await run([...args, "--secret-env", "PASS=DB_PASSWORD", "--", "npx", "-y", "git", "--wait"]);
    expect(added).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\+ MCP server git\n/) });
    expect(added.stderr).toContain("note: --wait stands after -- and is handed to npx");
    expect(asked).toMatchObject([
      {
        method: "putMcpServer",
        request: {
          mcpServer: {
            id: "git",
            agents: ["*"],
            transport: {
              case: "stdio",
              value: {
                command: "npx",
                args: ["-y", "git", "--wait"],
                env: { LEVEL: "a=b", GIT_TOKEN: "${secret.GIT_TOKEN}", PASS: "${secret.DB_PASSWORD}" },
              },
            },
          },
        },
      },
    ]);
  });

  it("adds a URL, and says how to give it to agents", async () => {
    const args = ["mcp", "add", "web", "https://x/mcp", "--header", "X-Zone=eu"];
    const added = await run([...args, "--secret-header", "Authorization=Bearer WEB_TOKEN"]);
    expect(added.stderr).toContain("bin/hermit mcp enable web --agent '*'");
    expect(asked).toMatchObject([
      {
        request: {
          mcpServer: {
            agents: [],
            transport: {
              case: "http",
              value: { url: "https://x/mcp", headers: { "X-Zone": "eu", Authorization: "Bearer ${secret.WEB_TOKEN}" } },
            },
          },
        },
      },
    ]);
  });

  it("replaces one that is there, keeps its agents, bounds and etag, and shows what changed", async () => {
    const replaced = await words("mcp add files node server.js");
    expect(replaced.stdout).toMatch(/^~ MCP server files\n {4}Command: +npx -y 'a b' → node server\.js\n {4}Env/);
    expect(replaced.stdout).not.toContain("plain");
    expect(asked).toMatchObject([
      {
        request: {
          mcpServer: {
            agents: ["*"],
            disabledAgents: ["two"],
            callTimeout: { seconds: 300n },
            etag: "e1",
            transport: { value: { command: "node", env: {} } },
          },
        },
      },
    ]);
    await words("mcp add files --agent two node server.js");
    expect(asked[1]).toMatchObject({ request: { mcpServer: { agents: ["two"], disabledAgents: [] } } });
  });

  it.each<[string[], string]>([
    [["x"], "neither a command nor a URL"],
    [["x", "--url", "https://mcp.example.com"], "next: bin/hermit mcp add x https://mcp.example.com"],
    [["x", "npx", "-y", "y"], "stand after --"],
    [["x", "--env", "GITHUB_TOKEN=ghp_abc", "--", "y"], "the value of GITHUB_TOKEN seems to be secret"],
    [["x", "https://x", "--header", "Authorization=Bearer abc"], "the value of Authorization seems to be secret"],
    [["x", "--secret-env", "lower", "--", "y"], '"lower" is no name of a secret'],
    [["x", "--env", "A=1", "--env", "A=2", "y"], "A is given twice"],
    [["x", "--env", "A", "y"], '"A" is not NAME=VALUE'],
    [["x", "https://x", "--env", "A=1"], "a URL has no environment"],
    [["x", "--header", "A=1", "y"], "a command has no headers"],
    [["x", "https://x", "more"], "a URL takes no arguments"],
    [["x", "--agent", "README.md", "y"], "every agent is '*', in quotes"],
  ])("refuses %j", async (args, said) => {
    const refused = await run(["mcp", "add", ...args]);
    expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(said) });
    expect(refused.stderr).not.toContain("ghp_abc");
    expect(asked).toEqual([]);
  });
});

describe("hermit mcp enable and disable", () => {
  it("say what changed for each agent, and go on after one that is not there", async () => {
    const enabled = await run(["mcp", "enable", "files", "--agent", "one", "--agent", "tow", "--agent", "*"]);
    expect(enabled.code).toBe(1);
    expect(enabled.stderr.split("\n")).toEqual([
      "files is already used by agent one",
      'agent tow: error: agent "tow" does not exist (did you mean two?)',
      "files is now used by every agent, also every future one, except two; give it to them too: bin/hermit mcp enable files --agent two",
      "",
    ]);
    expect(asked).toHaveLength(2);
    const disabled = await run(["mcp", "disable", "files", "--agent", "one", "--agent", "*"]);
    expect(disabled.stderr.split("\n")).toEqual([
      "files is no longer used by agent one; other agents still use it, by '*'",
      "files is no longer used by '*'; three still has it by itself",
      "",
    ]);
    expect((await words("mcp enable files")).stderr).toContain("--agent");
    expect(await words("mcp enable fiels --agent one")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/did you mean files\?\nnext: bin\/hermit mcp list/),
    });
  });

  it("wait until all have applied it and the first connections have ended, without those that do not run", async () => {
    states = [HealthState.UNSPECIFIED, HealthState.UNSPECIFIED, HealthState.OK];
    const enabled = await run(["mcp", "enable", "files", "--agent", "*", "--wait"]);
    expect(enabled).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/2 of 2 applied .*\n[^]*2 of 2 connected to files/),
    });
    expect(asked.at(-1)).toMatchObject({ method: "watchApplied", request: { agentIds: [] } });
    states = [HealthState.DOWN];
    await words("mcp disable files --agent three --wait");
    expect(asked.at(-1)).toMatchObject({ method: "watchApplied", request: { agentIds: ["three"] } });
  });

  it("end with 1 when an agent can't connect, is not connected in time, or has rejected it, and say why", async () => {
    states = [HealthState.DOWN];
    const down = await words("mcp enable files --agent one --agent three --wait");
    expect(down.code).toBe(1);
    expect(down.stderr).toMatch(
      /1 of 2 connected to files \(.*; not connected:\n {2}three {2}down: spawn x ENOENT\nthey go on trying; bin\/hermit mcp status files /,
    );
    expect(asked.at(-1)).toMatchObject({ request: { agentIds: ["one", "three"] } });
    states = [HealthState.UNSPECIFIED];
    const slow = await words("mcp enable files --agent three --wait --timeout 1s");
    expect(slow).toMatchObject({ code: 1, stderr: expect.stringContaining("  three  connecting") });
    states = [HealthState.OK];
    rejected = "model x is not known";
    const refused = await words("mcp enable files --agent three --wait --timeout 1s");
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("rejected: model x is not known") });
  });
});

describe("hermit mcp status", () => {
  it("shows each agent of a server, or a line a server", async () => {
    states = [HealthState.DOWN];
    const { stdout } = await words("mcp status files");
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["AGENT", "STATE", "TOOLS", "SINCE", "BY", "LAST ERROR"],
      ["one", "connected", "13", "3m", "*"],
      ["stopped", "stopped", "-", "-", "*"],
      ["three", "down", "-", "1m", "own", "spawn x ENOENT"],
      ["two", "leaving", "-", "-", "-"],
      [""],
    ]);
    const all = await words("mcp status -o jsonl");
    expect(
      all.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as object),
    ).toMatchObject([{ id: "files", agents: 3, connected: 1, down: 1, connecting: 0, waiting: 1 }, { id: "search" }]);
    expect((await words("mcp status")).stdout).toMatch(/\nfiles +3 +1 +1 +1 +spawn x ENOENT\n/);
    expect((await words("mcp status sarch")).stderr).toContain("did you mean search?");
  });
});
