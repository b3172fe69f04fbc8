import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { ActivityService } from "@openhermit/protocol/activity/v1/activity_service";
import { ErrorDetailSchema } from "@openhermit/protocol/common/v1/error";
import { AgentSchema, AgentState, DesiredState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import { FleetService } from "@openhermit/protocol/fleet/v1/fleet_service";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { HealthService } from "@openhermit/protocol/health/v1/health_service";
import {
  ManifestProblemsSchema,
  ManifestService,
  ChangeAction,
} from "@openhermit/protocol/manifest/v1/manifest_service";
import { SessionService } from "@openhermit/protocol/sessions/v1/session_service";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { runHermit, startHermit } from "./test/run-hermit.ts";
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
          { desc: ErrorDetailSchema, value: { reason: "AGENT_NOT_FOUND", hint: "hermit agents list shows all" } },
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

  it("tells an error as what, and what next", async () => {
    const { home } = await serve(fleetOf());
    expect(await runHermit(["agents", "get", "on"], { home })).toEqual({
      code: 1,
      stdout: "",
      stderr: 'error: agent "on" does not exist\nnext: hermit agents list shows all\n',
    });
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

  it("ends health with 3 when the gateway does not answer", async () => {
    expect((await runHermit(["health"])).code).toBe(3);
    expect((await runHermit(["health", "--url", "http://127.0.0.1:1"], { env: { OPENHERMIT_TOKEN: "x" } })).code).toBe(
      3,
    );
  });

  it("prints completions from the command tree", async () => {
    const { stdout } = await runHermit(["complete", "--", "agents", "re"]);
    expect(stdout).toMatch(/^restart\t/);
    for (const shell of ["bash", "zsh", "fish"]) {
      expect((await runHermit(["completion", shell])).stdout).toContain("hermit");
    }
  });

  it("doctor prints a fix for what has failed, and ends with 1", async () => {
    const broken = await runHermit(["doctor"]);
    expect(broken.code).toBe(1);
    expect(broken.stdout).toMatch(/✗ gateway: .*\n {2}fix: bin\/hermit up/);
  });
});

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

describe("hermit chat", () => {
  const turn = (state: TurnState, more: object = {}) => ({
    event: { event: { case: "turn" as const, value: { id: "t1", sessionId: "s1", agentId: "one", state, ...more } } },
  });
  const text = (value: string) => ({
    event: { event: { case: "textDelta" as const, value: { step: 1, text: value } } },
  });

  it("streams the answer to stdout and the tools to stderr, in the conversation of the user", async () => {
    const asked: object[] = [];
    const { home } = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* (request) {
          asked.push(request);
          yield turn(TurnState.OFFERED);
          yield {
            event: {
              event: {
                case: "toolCall" as const,
                value: { callId: "c", name: "everything__echo", argumentsJson: "{}" },
              },
            },
          };
          yield text("hel");
          yield text("lo");
          yield turn(TurnState.SUCCEEDED, { answer: "hello" });
        },
      }),
    );
    const said = await runHermit(["chat", "one", "say", "hello"], { home });
    expect(said).toMatchObject({ code: 0, stdout: "hello\n" });
    expect(said.stderr).toContain("→ everything__echo {}");
    const piped = await runHermit(["chat", "one", "-o", "json", "--new"], { home, input: "from a pipe\n" });
    expect(JSON.parse(piped.stdout)).toMatchObject({ id: "t1", state: "TURN_STATE_SUCCEEDED", answer: "hello" });
    expect(asked).toMatchObject([
      { message: "say hello", conversation: { case: "chat", value: { platform: "cli", chatType: "dm" } } },
      { message: "from a pipe", conversation: { case: undefined } },
    ]);
  });

  it("takes a turn up again when the connection breaks: by request id before it is known, by its id afterwards", async () => {
    const requestIds: string[] = [];
    const watched: string[] = [];
    const served = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* (request) {
          requestIds.push(request.requestId);
          if (requestIds.length === 1) {
            served.breakConnections();
            return;
          }
          yield turn(TurnState.RUNNING);
          yield text("one two ");
          // Broken only when the client has shown this much, so that there is something not to show twice.
          await waitFor(() => running.stdout() === "one two ", { what: "the first words" });
          served.breakConnections();
        },
        watchTurn: async function* ({ turnId }) {
          watched.push(turnId);
          yield turn(TurnState.RUNNING);
          yield { event: { event: { case: "textSnapshot" as const, value: { step: 1, text: "one two three" } } } };
          yield turn(TurnState.SUCCEEDED);
        },
      }),
    );
    const running = startHermit(["chat", "one", "count"], { home: served.home });
    expect(await running.ended).toMatchObject({ code: 0, stdout: "one two three\n" });
    expect(new Set(requestIds).size).toBe(1);
    expect(requestIds).toHaveLength(2);
    expect(watched).toEqual(["t1"]);
  });

  it("cancels the turn on Ctrl-C and ends with 130", async () => {
    const cancelled = Promise.withResolvers<void>();
    const { home } = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* () {
          yield turn(TurnState.RUNNING);
          yield text("thinking ");
          await cancelled.promise;
          yield turn(TurnState.CANCELLED);
        },
        cancelTurn: ({ turnId }) => {
          expect(turnId).toBe("t1");
          cancelled.resolve();
          return {};
        },
      }),
    );
    const running = startHermit(["chat", "one", "think"], { home });
    await waitFor(() => running.stdout().includes("thinking"), { what: "the answer to begin" });
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    await cancelled.promise;
  });

  it("tells why a turn failed and ends with 1", async () => {
    const { home } = await serve((router) =>
      router.service(SessionService, {
        sendMessage: async function* () {
          yield turn(TurnState.FAILED, { error: { reason: "MODEL_UNAVAILABLE", message: "no key", retryable: false } });
        },
      }),
    );
    const { code, stderr } = await runHermit(["chat", "one", "hi"], { home });
    expect(code).toBe(1);
    expect(stderr).toBe("error: one: model unavailable\n  no key\nnext: bin/hermit logs --agent one\n");
  });
});

describe("hermit logs", () => {
  const logged = (position: number, agentId: string, said: string) => ({
    cursor: String(position),
    event: { id: `e${position}`, agentId, detail: { case: "messageOut" as const, value: { text: said } } },
  });

  it("prints the newest events that match, oldest first, over pages", async () => {
    const all = Array.from({ length: 1200 }, (_, index) =>
      logged(index, index % 3 === 0 ? "one" : "two", `said ${index}`),
    ).toReversed();
    const { home } = await serve((router) =>
      router.service(ActivityService, {
        queryEvents: ({ pageToken, pageSize }) => {
          const from = Number(pageToken || 0);
          const nextPageToken = from + pageSize < all.length ? String(from + pageSize) : "";
          return { events: all.slice(from, from + pageSize), nextPageToken };
        },
      }),
    );
    const { stdout } = await runHermit(["logs", "^one$", "--tail", "3", "-e", "1197", "-o", "raw"], { home });
    expect(stdout).toBe("said 1188\nsaid 1191\nsaid 1194\n");
    const lines = (await runHermit(["logs", "--tail", "400", "^one$"], { home })).stdout.trim().split("\n");
    expect(lines).toHaveLength(400);
    expect(lines[0]).toMatch(/ one +message_out +said 0$/);
    const json = await runHermit(["logs", "--tail", "1", "-o", "jsonl"], { home });
    expect(JSON.parse(json.stdout)).toMatchObject({ event: { agentId: "two", messageOut: { text: "said 1199" } } });
  });

  it("follows over a broken connection without a gap and without a double, until Ctrl-C", async () => {
    const starts: unknown[] = [];
    const served = await serve((router) =>
      router.service(ActivityService, {
        tailEvents: async function* ({ start }, context) {
          starts.push(start);
          const from = start.case === "afterCursor" ? Number(start.value) + 1 : 1;
          yield { events: [logged(from, "one", `said ${from}`), logged(from + 1, "one", `said ${from + 1}`)] };
          if (from === 1) {
            await waitFor(() => running.stdout().includes("said 2"), { what: "the second line" });
            served.breakConnections();
          }
          await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
        },
      }),
    );
    const running = startHermit(["logs", "-f", "-o", "raw"], { home: served.home });
    await waitFor(() => running.stdout().includes("said 4"), { what: "the line after the break" });
    running.child.kill("SIGINT");
    expect(await running.ended).toMatchObject({ code: 0, stdout: "said 1\nsaid 2\nsaid 3\nsaid 4\n" });
    expect(starts).toMatchObject([
      { case: "last", value: 100 },
      { case: "afterCursor", value: "2" },
    ]);
  });
});
