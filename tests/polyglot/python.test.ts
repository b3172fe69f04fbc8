import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { generateStubs, pythonMissing, startPython } from "../fixture/python.ts";
import { ROOT, startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { send } from "../fixture/send.ts";

const missing = pythonMissing();
if (missing !== undefined) console.warn(`tests/polyglot ${missing}`);

const MANIFEST = `
agents:
  one:
    model: offline/echo
  guest:
    model: offline/echo
    launcher: external
mcpServers:
  everything:
    command: node
    args: [${JSON.stringify(join(ROOT, "node_modules/@modelcontextprotocol/server-everything/dist/index.js"))}, stdio]
    agents: [one]
`;

describe.skipIf(missing !== undefined)("Python with Debian's grpcio", () => {
  let fleet: RunningFleet;
  let stubs: string;
  beforeAll(async () => {
    fleet = await startFleet({ manifest: MANIFEST });
    stubs = generateStubs();
  }, 120_000);
  afterAll(async () => {
    await fleet.dispose();
    rmSync(stubs, { recursive: true, force: true });
  });

  test("a client from generated stubs lists agents, sends a message and tails activity", async () => {
    const { host } = new URL(fleet.url);
    const program = startPython(stubs, [
      join(ROOT, "clients/python/example.py"),
      host,
      join(fleet.home, "operator-token"),
      "one",
      "use echo to say hello",
    ]);
    const code = await program.ended;
    expect(program.output()).toContain("agents: guest (offline/echo), one (offline/echo)");
    expect(program.output()).toContain("[calls everything__echo]");
    expect(program.output()).toMatch(/Echo: hello/);
    for (const kind of ["message_in", "model_call", "tool_use", "message_out", "turn_end"]) {
      expect(program.output()).toContain(kind);
    }
    expect(code).toBe(0);
  });

  test("a client with a wrong token is refused", async () => {
    writeFileSync(join(fleet.home, "wrong"), "ohm_wrong");
    const { host } = new URL(fleet.url);
    const example = join(ROOT, "clients/python/example.py");
    const program = startPython(stubs, [example, host, join(fleet.home, "wrong"), "one", "hello"]);
    expect(await program.ended).not.toBe(0);
    expect(program.output()).toContain("UNAUTHENTICATED");
  });

  test("a sidecar that is not ours joins, attaches and answers a turn", async () => {
    const { joinToken } = await fleet.clients.enrollment.createJoinToken({ sidecarId: "guest", agentIds: ["guest"] });
    const tokenFile = join(fleet.home, "guest-token");
    writeFileSync(tokenFile, joinToken, { mode: 0o600 });
    const { host } = new URL(fleet.url);
    const sidecar = startPython(stubs, [join(ROOT, "tests/polyglot/sidecar.py"), host, tokenFile]);
    try {
      await waitFor(
        async () => {
          if (sidecar.process.exitCode !== null) throw new Error(sidecar.output());
          const { agent } = await fleet.clients.fleet.getAgent({ agentId: "guest" });
          return agent?.status?.state === AgentState.ONLINE && agent.status.sidecarVersion === "python-0.1.0";
        },
        { deadlineMs: 20_000, what: "the Python sidecar to be online" },
      );
      const first = await send(fleet.clients.sessions, "guest", "hello from python");
      expect(first.turn.state).toBe(TurnState.SUCCEEDED);
      expect(first.turn.answer).toBe("HELLO FROM PYTHON");
      expect(first.text).toBe("HELLO FROM PYTHON");
      const second = await send(fleet.clients.sessions, "guest", "again", { sessionId: first.turn.sessionId });
      expect(second.turn.answer).toBe("AGAIN");
      const { entries } = await fleet.clients.sessions.listTranscript({ sessionId: first.turn.sessionId });
      expect(entries).toHaveLength(4);
      expect(sidecar.output()).toMatch(/acknowledged \d+/);
      const { events } = await fleet.clients.activity.queryEvents({
        filter: { agentId: "guest", turnId: second.turn.id },
      });
      expect(events.map(({ event }) => event?.detail.case).toReversed()).toEqual([
        "messageIn",
        "messageOut",
        "turnEnd",
      ]);
      for (const { event } of events) expect(event?.sidecarId).toBe("guest");
    } finally {
      sidecar.process.kill("SIGKILL");
      await sidecar.ended;
    }
  });
});
