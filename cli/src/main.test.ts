import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { AgentSchema, AgentState, DesiredState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { HealthService } from "@openhermit/protocol/health/v1/health_service";
import { afterEach, describe, expect, it } from "vitest";
import { runHermit } from "./test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "./test/test-gateway.ts";

let gateway: TestGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

async function serve(routes: (router: ConnectRouter) => void): Promise<TestGateway> {
  gateway = await startTestGateway(routes);
  return gateway;
}

const agent = (id: string, state: AgentState, detail = ""): Agent =>
  create(AgentSchema, {
    id,
    spec: { model: "offline/echo" },
    desiredState: DesiredState.RUNNING,
    status: { state, detail },
  });

const fleetOf =
  (...agents: Agent[]) =>
  (router: ConnectRouter) =>
    router.service(FleetService, {
      listAgents: ({ pageToken }) => {
        const from = Number(pageToken || 0);
        return {
          agents: agents.slice(from, from + 2),
          nextPageToken: from + 2 < agents.length ? String(from + 2) : "",
        };
      },
      getAgent: ({ agentId }) => {
        const found = agents.find(({ id }) => id === agentId);
        if (found) return { agent: found };
        throw new ConnectError(`agent "${agentId}" does not exist`, Code.NotFound, undefined, [
          {
            desc: ErrorDetailSchema,
            value: { reason: "AGENT_NOT_FOUND", hint: "List them.", fields: { agent_id: agentId } },
          },
        ]);
      },
    });

describe("hermit", () => {
  it("prints help with examples first, within 80 columns, for every verb", async () => {
    const verbs = [
      "up",
      "apply",
      "agents",
      "agents delete",
      "chat",
      "sessions",
      "logs",
      "health",
      "sidecars token",
      "doctor",
      "login",
      "context",
      "members",
      "service-accounts",
      "tokens create",
      "grants",
      "audit",
      "agents set",
      "agents get",
      "agents diff",
      "defaults",
      "defaults set",
      "mcp",
      "mcp add",
      "mcp import",
      "mcp enable",
      "mcp status",
      "skills",
      "skills add",
      "skills check",
      "skills show",
    ];
    for (const verb of ["", ...verbs]) {
      const { code, stdout } = await runHermit([...verb.split(" ").filter(Boolean), "--help"]);
      expect(code).toBe(0);
      expect(stdout).toContain("Usage: hermit");
      expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    }
    expect((await runHermit(["logs", "--help"])).stdout).toMatch(/^Examples:/);
  });

  it("suggests what a typo meant, on stderr, and ends with 1", async () => {
    for (const [args, meant] of [
      [["agnts"], "agents"],
      [["agents", "restrat"], "restart"],
      [["logs", "--folow"], "--follow"],
    ] as const) {
      expect(await runHermit(args)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining(`Did you mean ${meant}?`),
      });
    }
  });

  it("says how to start a gateway that is not there", async () => {
    const none = await runHermit(["agents", "list"]);
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toContain("next: bin/hermit up");
    const refused = await runHermit(["agents", "list", "--url", "http://127.0.0.1:1"], {
      env: { OPENHERMIT_TOKEN: "x" },
    });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("the gateway does not answer at http://127.0.0.1:1");
    expect(refused.stderr).toContain("bin/hermit up");
    expect(refused.stderr).not.toContain("    at ");
  });

  it("ends with 4 without a valid token, and does not send this host's token elsewhere", async () => {
    const { home } = await serve(fleetOf());
    expect(await runHermit(["agents", "list"], { home, env: { OPENHERMIT_TOKEN: "wrong" } })).toMatchObject({
      code: 4,
    });
    const elsewhere = await runHermit(["agents", "list", "--url", "http://198.51.100.1:8780"], { home });
    expect(elsewhere.code).toBe(4);
    expect(elsewhere.stderr).toContain("only to the gateway of this host");
  });

  it("lists agents of all pages as a table, JSON, lines, YAML and names", async () => {
    const { home } = await serve(
      fleetOf(
        agent("one", AgentState.ONLINE),
        agent("two", AgentState.CRASHED, "exit\u001b[2J code 1"),
        agent("three", 77 as AgentState),
      ),
    );
    const run = async (...args: string[]) => (await runHermit(["agents", "list", ...args], { home })).stdout;
    const table = (await run()).split("\n");
    expect(table[0]).toMatch(/^AGENT +STATE +SINCE +MODEL/);
    expect(table[2]).toMatch(/^two +crashed .*exit code 1$/);
    expect(table[3]).toMatch(/^three +unknown \(77\)/);
    expect((JSON.parse(await run("-o", "json")) as { id: string }[]).map(({ id }) => id)).toEqual([
      "one",
      "two",
      "three",
    ]);
    expect((await run("-o", "jsonl")).trim().split("\n")).toHaveLength(3);
    expect(await run("-o", "yaml")).toContain("- id: one");
    expect(await run("-o", "name")).toBe("one\ntwo\nthree\n");
    expect(await run("--color", "always")).toContain("\u001b[");
    expect(await run()).not.toContain("\u001b[");
  });

  it("tells an error as what and what next, and which agent was probably meant", async () => {
    const { home } = await serve(fleetOf(agent("one", AgentState.ONLINE), agent("three", AgentState.ONLINE)));
    expect(await runHermit(["agents", "get", "far-off"], { home })).toEqual({
      code: 1,
      stdout: "",
      stderr: 'error: agent "far-off" does not exist\nnext: bin/hermit agents list\n',
    });
    for (const [typed, meant] of [
      ["oen", "one"],
      ["thre", "three"],
    ] as const) {
      expect((await runHermit(["agents", "get", typed], { home })).stderr).toContain(`did you mean ${meant}?`);
    }
  });

  it("refuses a --url that is none, rather than send the token somewhere", async () => {
    const refused = await runHermit(["agents", "list", "--url", "nonsense"], { env: { OPENHERMIT_TOKEN: "x" } });
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("--url must be a URL") });
  });

  it("asks before a delete, and refuses where nobody can be asked", async () => {
    const { home, calls } = await serve(fleetOf(agent("one", AgentState.ONLINE)));
    const refused = await runHermit(["agents", "delete", "one"], { home });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("--yes");
    expect(calls).not.toContain("DeleteAgent");
  });

  it.each([
    [HealthState.OK, 0],
    [HealthState.DEGRADED, 1],
    [HealthState.DOWN, 2],
  ])("ends health %s with %s", async (state, code) => {
    const { home } = await serve((router) =>
      router.service(HealthService, { getFleetHealth: () => ({ health: { state, reasons: ["because"] } }) }),
    );
    expect(await runHermit(["health"], { home })).toMatchObject({ code, stdout: expect.stringContaining("because") });
  });

  it("lists of a healthy agent one line, of another what is not well, and with --all each component", async () => {
    const component = (name: string, state: HealthState, detail = "") => ({ name, state, detail });
    const { home } = await serve((router) =>
      router.service(HealthService, {
        getFleetHealth: () => ({
          health: {
            state: HealthState.DEGRADED,
            agents: [
              { agentId: "one", components: [component("link", HealthState.OK), component("model", HealthState.OK)] },
              {
                agentId: "two",
                components: [
                  component("link", HealthState.OK),
                  component("mcp:x", HealthState.DOWN, "spawn x ENOENT"),
                  component("model", HealthState.OK),
                ],
              },
            ],
          },
        }),
      }),
    );
    const cells = async (...args: string[]) =>
      (await runHermit(["health", ...args], { home })).stdout
        .trim()
        .split("\n")
        .slice(2)
        .map((line) => line.split(/ +/).slice(0, 3).join(" "));
    expect(await cells()).toEqual(["one all OK", "two mcp:x DOWN", "two others OK"]);
    expect(await cells("--all")).toHaveLength(5);
  });

  it("says in health and doctor once what is the same with several agents", async () => {
    const detail = 'The command "x" was not found in PATH.';
    const names = Array.from({ length: 10 }, (_, index) => `a${index}`);
    const agents = names.map((agentId) => ({
      agentId,
      components: [{ name: "mcp:x", state: HealthState.DOWN, detail }],
    }));
    const reasons = names.map((agentId) => `agent "${agentId}": mcp:x does not work: ${detail}`);
    const health = { state: HealthState.DEGRADED, agents, reasons: [...reasons, "and 3 more"] };
    const { home } = await serve((router) =>
      router
        .service(HealthService, { getFleetHealth: () => ({ health }) })
        .service(FleetService, { listAgents: () => ({}) }),
    );
    const { stdout } = await runHermit(["health"], { home });
    expect(stdout).toContain(
      `  agents "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7" and 2 more: mcp:x does not work: ${detail}\n  and 3 more\n`,
    );
    expect(stdout.split(detail)).toHaveLength(2);
    const doctor = (await runHermit(["doctor"], { home })).stdout;
    expect(doctor).toContain(
      `✗ a0, a1, a2, a3, a4, a5, a6, a7 and 2 more: mcp:x: ${detail}\n  fix: bin/hermit mcp get x `,
    );
    expect(doctor.split(detail)).toHaveLength(2);
  });

  it("ends health with 3 when the gateway does not answer", async () => {
    expect((await runHermit(["health"])).code).toBe(3);
    expect((await runHermit(["health", "--url", "http://127.0.0.1:1"], { env: { OPENHERMIT_TOKEN: "x" } })).code).toBe(
      3,
    );
  });

  it("doctor prints a fix for what has failed, and ends with 1", async () => {
    const broken = await runHermit(["doctor"]);
    expect(broken.code).toBe(1);
    expect(broken.stdout).toMatch(/✗ gateway: .*\n {2}fix: bin\/hermit up/);
  });
});
