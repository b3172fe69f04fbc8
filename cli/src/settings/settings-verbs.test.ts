import { clone, create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import {
  AgentSchema,
  AgentSpecSchema,
  AgentState,
  AgentStatusSchema,
  DefaultsSchema,
  DesiredState,
  Launcher,
  ValueSource,
  type Agent,
  type Defaults,
} from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { ManifestService, type FieldChange } from "@openhermit/protocol/manifest/v1/manifest_service";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runHermit } from "../test/run-hermit.ts";
import { startTestGateway, type TestGateway } from "../test/test-gateway.ts";

const ONE = create(AgentSchema, {
  id: "one",
  displayName: "One",
  labels: { tier: "gold", zone: "eu" },
  etag: "e1",
  spec: { instructions: "Be\nkind.\n", modelParameters: { temperature: 0.5 } },
  effectiveSpec: {
    model: "offline/echo",
    instructions: "Be\nkind.\n",
    launcher: Launcher.PROCESS,
    modelParameters: { temperature: 0.5 },
    turnLimits: { timeout: { seconds: 300n }, maxSteps: 32 },
  },
  sources: {
    model: ValueSource.DEFAULTS,
    instructions: ValueSource.AGENT,
    launcher: ValueSource.BUILTIN,
    "modelParameters.temperature": ValueSource.AGENT,
    "turnLimits.timeout": ValueSource.DEFAULTS,
    "turnLimits.maxSteps": ValueSource.BUILTIN,
  },
  status: { state: AgentState.ONLINE, appliedGeneration: 12n, desiredGeneration: 14n },
});

let gateway: TestGateway;
let folder: string;
let asked: { method: string; request: object }[] = [];
let defaults: Defaults;
let agents: Agent[] = [];
let differences: Pick<FieldChange, "path" | "before" | "after">[] = [];
let conflicts = 0;
const note = <T>(method: string, request: object, answer: T): T => {
  asked.push({ method, request });
  return answer;
};
const agentOf = (agentId: string): Agent => {
  const found = agents.find(({ id }) => id === agentId);
  if (found) return found;
  throw new ConnectError(`agent "${agentId}" does not exist`, Code.NotFound, undefined, [
    { desc: ErrorDetailSchema, value: { reason: "AGENT_NOT_FOUND", fields: { agent_id: agentId } } },
  ]);
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "openhermit-settings-"));
  const steered = (method: string) => (request: { agentId: string }) => {
    const agent = clone(AgentSchema, agentOf(request.agentId));
    agent.status = create(AgentStatusSchema, { state: AgentState.STOPPING });
    agent.desiredState = DesiredState.STOPPED;
    return note(method, request, { agent });
  };
  gateway = await startTestGateway((router) => {
    router.service(FleetService, {
      listAgents: () => ({ agents }),
      getAgent: ({ agentId }) => ({ agent: agentOf(agentId) }),
      updateAgent: (request) => {
        if (conflicts-- > 0) throw new ConnectError("changed", Code.Aborted);
        const before = agentOf(request.agent?.id ?? "");
        const { sources } = before;
        const effectiveSpec = create(AgentSpecSchema, { model: "offline/echo" });
        const agent = Object.assign(clone(AgentSchema, request.agent ?? before), { effectiveSpec, sources });
        return note("updateAgent", request, { agent });
      },
      stopAgent: steered("stopAgent"),
      getDefaults: () => ({ defaults }),
      putDefaults: (request) => {
        if (conflicts-- > 0) throw new ConnectError("changed", Code.Aborted);
        return note("putDefaults", request, request.defaults ? { defaults: request.defaults } : {});
      },
      watchApplied: async function* (request) {
        yield note("watchApplied", request, { totalCount: 1, appliedCount: 1 });
      },
    });
    router.service(ManifestService, {
      compareAgents: ({ agentId, otherAgentId }) => {
        agentOf(agentId);
        agentOf(otherAgentId);
        return { fields: differences };
      },
    });
  });
});
beforeEach(() => {
  asked = [];
  conflicts = 0;
  differences = [];
  agents = [ONE, Object.assign(clone(AgentSchema, ONE), { id: "two" })];
  defaults = create(DefaultsSchema, { etag: "d1", spec: { model: "offline/echo", turnLimits: { maxSteps: 7 } } });
});
afterAll(async () => {
  await gateway.close();
  rmSync(folder, { recursive: true, force: true });
});

const run = (args: readonly string[], input = "") => runHermit(args, { home: gateway.home, input });
const words = (line: string) => run(line.split(" "));

describe("hermit agents set", () => {
  it("sends only what changes, under its mask, and shows old and new with what is inherited", async () => {
    const inherited = ["turnLimits.timeout=1m30s", "modelParameters.temperature=", "labels.tier="];
    const own = ["labels.note=a=b", "displayName=One", "launcher=external", "model=openai/x"];
    const set = await run(["agents", "set", "one", ...inherited, ...own, "--wait"]);
    expect(set).toMatchObject({ code: 0, stderr: expect.stringContaining("1 of 1 applied") });
    expect(set.stdout.split("\n").map((line) => line.replaceAll(/ +/g, " "))).toEqual([
      "~ agent one",
      " turnLimits.timeout: 5m (defaults) → 90s",
      " modelParameters.temperature: 0.5 → (not set)",
      " labels.tier: gold → (not set)",
      " labels.note: (not set) → a=b",
      " launcher: process (built in) → external",
      " model: offline/echo (defaults) → openai/x",
      "",
    ]);
    expect(asked).toMatchObject([
      {
        method: "updateAgent",
        request: {
          agent: {
            id: "one",
            etag: "e1",
            labels: { zone: "eu", note: "a=b" },
            spec: { model: "openai/x", launcher: Launcher.EXTERNAL, turnLimits: { timeout: { seconds: 90n } } },
          },
          updateMask: {
            paths: [
              "spec.turn_limits.timeout",
              "spec.model_parameters.temperature",
              "labels",
              "spec.launcher",
              "spec.model",
            ],
          },
        },
      },
      { method: "watchApplied", request: { agentIds: ["one"] } },
    ]);
  });

  it("reads instructions from a file and stdin, and tries again after a conflict", async () => {
    const file = join(folder, "prompt.md");
    writeFileSync(file, "From a file.\n");
    conflicts = 2;
    expect((await run(["agents", "set", "one", `instructions=@${file}`])).code).toBe(0);
    await run(["agents", "set", "one", "instructions=@-"], "From stdin.");
    expect(asked.map(({ request }) => request)).toMatchObject([
      { agent: { spec: { instructions: "From a file.\n" } }, updateMask: { paths: ["spec.instructions"] } },
      { agent: { spec: { instructions: "From stdin." } } },
    ]);
  });

  it("changes nothing when it is so already", async () => {
    const same = await words("agents set one modelParameters.temperature=0.50 displayName=One model=");
    expect(same).toMatchObject({ code: 0, stdout: "", stderr: "agent one is like that already\n" });
    expect(asked).toEqual([]);
  });

  it.each<[string, string]>([
    ["one modle=x/y", "did you mean model?"],
    ["one temperature=1", "did you mean modelParameters.temperature?"],
    ["one turnlimits.maxsteps=1", "did you mean turnLimits.maxSteps?"],
    ["one far.off=1", "keys are displayName, team, "],
    ["one model", "write model=VALUE, or model= to unset it"],
    ["one model=a/b model=c/d", "model is given twice"],
    ["one model=nonsense", "model must be provider/model"],
    [
      "one turnLimits.timeout=5 turnLimits.maxSteps=1.5",
      "must be a duration, like 90s or 5m; turnLimits.maxSteps must be a whole",
    ],
    ["one modelParameters.topP=x", "modelParameters.topP must be a number"],
    ["one launcher=docker", "launcher must be process or external"],
    ["one desiredState=", "desiredState can't be unset: running or stopped"],
    ["one instructions=@/nonexistent", "/nonexistent can't be read"],
    ["oen model=a/b", "did you mean one?"],
  ])("refuses %s", async (line, said) => {
    const refused = await words(`agents set ${line}`);
    expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining(said) });
    expect(asked).toEqual([]);
  });
});

describe("hermit defaults", () => {
  it("are changed as a whole, with what is not named as it was", async () => {
    conflicts = 1;
    const set = await words("defaults set modelParameters.maxOutputTokens=500 turnLimits.maxSteps= --wait");
    expect(set).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^~ defaults\n.*\(not set\) → 500\n.*7 → \(not set\)\n$/),
    });
    expect(asked).toMatchObject([
      {
        method: "putDefaults",
        request: {
          defaults: { etag: "d1", spec: { model: "offline/echo", modelParameters: { maxOutputTokens: 500 } } },
        },
      },
      { method: "watchApplied", request: { agentIds: [] } },
    ]);
    expect((await words("defaults set model=offline/echo")).stderr).toBe("the defaults are like that already\n");
    expect((await words("defaults set displayName=x")).stderr).toContain("is no key");
    expect((await words("defaults set labels.x=y")).stderr).toContain("is no key");
    expect(asked).toHaveLength(2);
  });

  it("are shown by their keys, or one alone", async () => {
    expect((await words("defaults get")).stdout.replaceAll(/ +/g, " ")).toBe(
      "model: offline/echo\nturnLimits.maxSteps: 7\n",
    );
    expect((await words("defaults get model")).stdout).toBe("offline/echo\n");
    expect((await words("defaults get -o name")).stdout).toBe("model\nturnLimits.maxSteps\n");
    expect((await words("defaults get modl")).stderr).toContain("did you mean model?");
    defaults = create(DefaultsSchema);
    expect(await words("defaults get")).toMatchObject({
      code: 0,
      stdout: "",
      stderr: expect.stringContaining("defaults set"),
    });
  });
});

describe("hermit agents", () => {
  it("get shows what an agent runs with, and where it comes from", async () => {
    const { stdout } = await words("agents get one");
    expect(stdout).toContain("generation 12, 14 is on its way");
    expect(
      stdout
        .split("\n")
        .slice(5)
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      [""],
      ["model", "offline/echo", "(defaults)"],
      ["modelParameters.temperature", "0.5", "(agent)"],
      ["launcher", "process", "(built in)"],
      ["turnLimits.maxSteps", "32", "(built in)"],
      ["turnLimits.timeout", "5m", "(defaults)"],
      [""],
      ["instructions", "(agent)"],
      ["", "Be"],
      ["", "kind."],
      [""],
    ]);
  });

  it("list shows who is behind or has rejected its configuration, and the model that each runs with", async () => {
    const status = { appliedGeneration: 3n, desiredGeneration: 4n };
    agents = [
      ONE,
      create(AgentSchema, {
        id: "two",
        status: { ...status, state: AgentState.ONLINE, rejectedReason: "no such model" },
      }),
      create(AgentSchema, { id: "three", status: { ...status, state: AgentState.STOPPED } }),
    ];
    const { stdout } = await words("agents list");
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["AGENT", "STATE", "SINCE", "CONFIG", "MODEL", "RESTARTS", "DETAIL"],
      ["one", "online", "-", "12/14 behind", "offline/echo", "0"],
      ["two", "online", "-", "rejected", "0", "configuration rejected: no such model"],
      ["three", "stopped", "-", "0"],
      [""],
    ]);
    agents = [create(AgentSchema, { id: "one", status: { state: AgentState.ONLINE } })];
    expect((await words("agents list")).stdout).not.toContain("CONFIG");
  });

  it("diff ends with 2 when two differ, and shows the values beside each other, or long ones below", async () => {
    const same = await words("agents diff one two");
    expect(same).toMatchObject({ code: 0, stdout: "", stderr: "one and two run with the same.\n" });
    differences = [
      { path: "model", before: "offline/echo", after: "openai/x" },
      { path: "mcpServers.files", before: "", after: "enabled" },
      { path: "instructions", before: "Be\nkind.\n", after: "Be\nrude.\n" },
    ];
    const { code, stdout } = await words("agents diff one two");
    expect(code).toBe(2);
    expect(stdout.split("\n").map((line) => line.trim().split(/ {2,}/))).toEqual([
      ["FIELD", "one", "two"],
      ["model", "offline/echo", "openai/x"],
      ["mcpServers.files", "-", "enabled"],
      [""],
      ["instructions:"],
      ["Be"],
      ["- kind."],
      ["+ rude."],
      [""],
    ]);
    expect(await words("agents diff one two -o name")).toMatchObject({
      code: 2,
      stdout: "model\nmcpServers.files\ninstructions\n",
    });
    expect(await words("agents diff one towo")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("did you mean two?"),
    });
  });

  it("stop goes on after an error of one, with a line for each, and ends with 1", async () => {
    const stopped = await words("agents stop one tow two one");
    expect(stopped.code).toBe(1);
    expect(stopped.stderr.split("\n")).toEqual([
      "agent one: stopping",
      'agent tow: error: agent "tow" does not exist (did you mean two?)',
      "agent two: stopping",
      "",
    ]);
    expect(asked.map(({ request }) => request)).toMatchObject([{ agentId: "one" }, { agentId: "two" }]);
    expect(await words("agents stop tow")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("next: bin/hermit agents list"),
    });
  });
});
