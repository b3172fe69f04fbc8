import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { AgentState, Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { startScriptedModel, waitFor, type ScriptedModel } from "@openhermit/testing";
import { startExternalSidecar, type ExternalSidecar } from "../fixture/external-sidecar.ts";
import { processesNaming } from "../fixture/processes-left.ts";
import { ROOT, startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { send } from "../fixture/send.ts";
import { writeSkill } from "../fixture/skill-folder.ts";

const AGENTS = ["one", "two", "three"];
const EVERYTHING = join(ROOT, "node_modules/@modelcontextprotocol/server-everything/dist/index.js");
const folder = mkdtempSync(join(tmpdir(), "openhermit-wildcard-"));
const NOTES = join(folder, "gate-notes");

const MANIFEST = `
providers:
  scripted: { kind: openai-compatible, baseUrl: "BASE_URL" }
defaults:
  model: offline/echo
agents: { one: {}, two: {}, three: {} }
mcpServers:
  gate:
    command: ${JSON.stringify(process.execPath)}
    args: [${JSON.stringify(join(ROOT, "tests/fixture/gate-mcp-server.ts"))}, ${JSON.stringify(NOTES)}]
    agents: [one, two, three]
  everything:
    command: node
    args: [${JSON.stringify(EVERYTHING)}, stdio]
    agents: []
`;

let model: ScriptedModel;
let fleet: RunningFleet;
beforeAll(async () => {
  writeFileSync(NOTES, "");
  model = await startScriptedModel({ always: { text: "fine" } });
  fleet = await startFleet({ manifest: MANIFEST.replace("BASE_URL", model.baseUrl) });
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  await model.close();
  rmSync(folder, { recursive: true, force: true });
  expect(processesNaming(fleet.home)).toEqual([]);
});

const say = async (agentId: string, message: string): Promise<string> => {
  const { turn } = await send(fleet.clients.sessions, agentId, message);
  expect([agentId, turn.error?.message ?? "", turn.state]).toEqual([agentId, "", TurnState.SUCCEEDED]);
  return turn.answer;
};
/** What each agent answers in its next turn. */
const each = (message: string, agents: readonly string[] = AGENTS): Promise<string[]> =>
  Promise.all(agents.map((agent) => say(agent, message)));
const ECHO = "use everything__echo to say hello";
const WITH = expect.stringContaining("Echo: hello") as string;
const WITHOUT = expect.stringContaining('I have no tool "everything__echo"') as string;

const pids = (): number[] => AGENTS.map((agent) => fleet.sidecarPid(agent));

/** Runs a command that has to succeed. */
async function hermit(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await fleet.hermit(args);
  expect([args.join(" "), code, stderr]).toEqual([args.join(" "), 0, expect.any(String)]);
  return stdout + stderr;
}

async function state(agentId: string): Promise<AgentState | undefined> {
  return (await fleet.clients.fleet.getAgent({ agentId })).agent?.status?.state;
}
const online = (agentId: string): Promise<unknown> =>
  waitFor(async () => (await state(agentId)) === AgentState.ONLINE, {
    deadlineMs: 30_000,
    what: `${agentId} to be online`,
  });

const chats: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of chats.splice(0)) await end();
});

/** Agents that chat all the time. */
function chatting(): { end(): Promise<{ turns: number; bad: string[] }> } {
  let going = true;
  let turns = 0;
  const bad: string[] = [];
  const loops = AGENTS.map(async (agent) => {
    while (going) {
      const { turn } = await send(fleet.clients.sessions, agent, "how are you?");
      turns += 1;
      if (turn.state !== TurnState.SUCCEEDED) bad.push(`${agent}: ${turn.error?.message}`);
    }
  });
  const end = async (): Promise<{ turns: number; bad: string[] }> => {
    going = false;
    await Promise.all(loops);
    return { turns, bad };
  };
  chats.push(end);
  return { end };
}

/** A turn of each agent that calls a tool which does not answer before `open` is called. */
async function turnsInFlight(name: string): Promise<{ open(): Promise<string[]> }> {
  const file = join(folder, name);
  const turns = each(`use gate__wait with ${JSON.stringify({ file })}`);
  const waiting = (): number =>
    readFileSync(NOTES, "utf8")
      .split("\n")
      .filter((line) => line.endsWith(file)).length;
  await waitFor(() => waiting() === AGENTS.length, { what: "a turn of each agent to be in its tool" });
  return {
    open: () => {
      writeFileSync(file, "");
      return turns;
    },
  };
}

test("with three agents chatting, one command gives all of them the tools, another takes them away; nothing restarts", async () => {
  const before = pids();
  expect(await each(ECHO)).toEqual([WITHOUT, WITHOUT, WITHOUT]);

  const chat = chatting();
  const held = await turnsInFlight("enable");
  expect(await hermit("mcp", "enable", "everything", "--agent", "*", "--wait")).toContain("3 of 3 applied");
  expect(await each(ECHO)).toEqual([WITH, WITH, WITH]);
  const opened = await held.open();
  const gates = opened.map((answer) => /opened in process (\d+)/.exec(answer)?.[1]);
  expect(new Set(gates).size).toBe(3);

  const heldAgain = await turnsInFlight("disable");
  expect(await hermit("mcp", "disable", "everything", "--agent", "*", "--wait")).toContain("3 of 3 applied");
  expect(await each(ECHO)).toEqual([WITHOUT, WITHOUT, WITHOUT]);
  // The other server of each agent is the same process: only what changed was touched.
  expect((await heldAgain.open()).map((answer) => /opened in process (\d+)/.exec(answer)?.[1])).toEqual(gates);
  const { turns, bad } = await chat.end();
  expect(bad).toEqual([]);
  expect(turns).toBeGreaterThanOrEqual(3);
  expect(pids()).toEqual(before);
  await waitFor(() => !processesNaming(fleet.home).some(({ command }) => command.includes("server-everything")), {
    what: "the processes of the server to be gone",
  });
}, 120_000);

test("an agent opts out and stays out; a future agent inherits; the status names who uses it, with its tools", async () => {
  await hermit("mcp", "enable", "everything", "--agent", "*");
  await hermit("mcp", "disable", "everything", "--agent", "two", "--wait");
  expect(await each(ECHO)).toEqual([WITH, WITHOUT, WITH]);

  await hermit("mcp", "disable", "everything", "--agent", "*");
  await hermit("mcp", "enable", "everything", "--agent", "*", "--wait");
  expect(await each(ECHO)).toEqual([WITH, WITHOUT, WITH]);

  await fleet.clients.fleet.createAgent({ agent: { id: "later" } });
  await online("later");
  expect(await say("later", ECHO)).toEqual(WITH);

  const status = await waitFor(
    async () => {
      const { agents } = await fleet.clients.catalog.getMcpServerStatus({ mcpServerId: "everything" });
      return agents.length === 3 && agents.every(({ toolCount }) => toolCount > 0) ? agents : undefined;
    },
    { what: "the three that use it to have said so" },
  );
  expect(status.map(({ agentId, byWildcard }) => [agentId, byWildcard])).toEqual([
    ["later", true],
    ["one", true],
    ["three", true],
  ]);
  const shown = await hermit("mcp", "status", "everything");
  for (const agent of ["later", "one", "three"]) expect(shown).toMatch(new RegExp(`^${agent} +connected +[1-9]`, "m"));
  expect(shown).not.toMatch(/^two\b/m);

  await fleet.clients.fleet.deleteAgent({ agentId: "later" });
  await hermit("mcp", "enable", "everything", "--agent", "two", "--wait");
  expect(await each(ECHO)).toEqual([WITH, WITH, WITH]);
  await hermit("mcp", "disable", "everything", "--agent", "*", "--wait");
  // Its own row is left, and goes.
  expect(await each(ECHO)).toEqual([WITHOUT, WITH, WITHOUT]);
  await hermit("mcp", "disable", "everything", "--agent", "two", "--wait");
  expect(await each(ECHO)).toEqual([WITHOUT, WITHOUT, WITHOUT]);
  // No agent: said so, with what to do.
  const unknown = await fleet.hermit(["mcp", "enable", "everything", "--agent", "nobody"]);
  expect(unknown).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('agent "nobody" does not exist') as string,
  });
}, 120_000);

/** The mounted file of a skill in an agent's workspace; undefined while there is none. */
function mounted(agentId: string, path: string): { mode: number; text: string } | undefined {
  const sidecar = join(fleet.home, "sidecars", agentId);
  const ending = join(".agents/skills", path);
  const found = readdirSync(sidecar, { recursive: true, encoding: "utf8" }).find((name) => name.endsWith(ending));
  if (found === undefined) return undefined;
  const file = join(sidecar, found);
  return { mode: statSync(file).mode & 0o777, text: readFileSync(file, "utf8") };
}

test("a skill for all is read by the next turn of each, mounted read-only, updated, and taken away", async () => {
  const READ = 'use skill with {"name":"standup"}';
  const before = pids();
  await fleet.clients.fleet.createAgent({ agent: { id: "seer", spec: { model: "scripted/model" } } });
  await online("seer");
  const skill = writeSkill(folder, "standup", {
    description: "How to hold a standup of sparrows.",
    body: "Everybody chirps once. VERSION-ONE",
    files: { "scripts/chirp.sh": "#!/bin/sh\necho chirp\n", "birds.md": "sparrow" },
  });
  const chat = chatting();
  expect(await hermit("skills", "add", skill, "--agent", "*", "--wait")).toContain("4 of 4 applied");
  for (const answer of await each(READ)) expect(answer).toContain("VERSION-ONE");
  expect(await say("one", 'use skill with {"name":"standup","file":"birds.md"}')).toContain("sparrow");
  for (const agent of AGENTS) {
    expect(mounted(agent, "standup/SKILL.md")).toMatchObject({ mode: 0o444 });
    expect(mounted(agent, "standup/scripts/chirp.sh")).toMatchObject({ mode: 0o555 });
  }
  // The model is told what it is for, and reads the body on demand.
  await say("seer", "hello");
  const told = JSON.stringify(model.requests.at(-1)?.body);
  expect(told).toContain("How to hold a standup of sparrows.");
  expect(told).not.toContain("VERSION-ONE");

  writeSkill(folder, "standup", { body: "Everybody chirps twice. VERSION-TWO" });
  expect(await hermit("skills", "add", skill, "--wait")).toContain("4 of 4 applied");
  for (const answer of await each(READ)) {
    expect(answer).toContain("VERSION-TWO");
    expect(answer).not.toContain("VERSION-ONE");
  }
  for (const agent of AGENTS) expect(mounted(agent, "standup/SKILL.md")?.text).toContain("VERSION-TWO");

  await hermit("skills", "disable", "standup", "--agent", "two", "--wait");
  expect(await say("two", READ)).not.toContain("VERSION-TWO");
  expect(await say("three", READ)).toContain("VERSION-TWO");
  expect(await hermit("skills", "disable", "standup", "--agent", "*", "--wait")).toContain("4 of 4 applied");
  for (const answer of await each(READ)) expect(answer).not.toContain("VERSION-TWO");
  for (const agent of AGENTS) expect(mounted(agent, "standup/SKILL.md")).toBeUndefined();
  expect((await chat.end()).bad).toEqual([]);
  expect(pids()).toEqual(before);
  await hermit("skills", "remove", "standup", "--yes");
  await fleet.clients.fleet.deleteAgent({ agentId: "seer" });
}, 120_000);

test("an agent whose sidecar is away is told as behind, and catches up when it is back", async () => {
  const spec = { launcher: Launcher.EXTERNAL };
  await fleet.clients.fleet.createAgent({ agent: { id: "guest", spec } });
  const sidecar: ExternalSidecar = await startExternalSidecar(fleet, "edge", ["guest"]);
  try {
    await online("guest");
    expect(await say("guest", ECHO)).toEqual(WITHOUT);
    await sidecar.kill();
    await waitFor(async () => (await state("guest")) === AgentState.UNREACHABLE, {
      deadlineMs: 30_000,
      what: "the guest to be away",
    });
    const enabled = await fleet.hermit(["mcp", "enable", "everything", "--agent", "*", "--wait", "--timeout", "2s"]);
    expect(enabled.code).toBe(1);
    expect(enabled.stderr).toContain("3 of 4 applied");
    expect(enabled.stderr).toMatch(/^\s*guest\s+unreachable/m);
    expect(await each(ECHO)).toEqual([WITH, WITH, WITH]);
    expect(await hermit("agents", "list")).toMatch(/^guest\b.*behind/m);

    sidecar.startAgain();
    const listed = await waitFor(
      async () => {
        const { stdout } = await fleet.hermit(["agents", "list"]);
        return /^guest\b.*online/m.test(stdout) && !stdout.includes("behind") ? stdout : undefined;
      },
      { deadlineMs: 30_000, what: "the guest to catch up" },
    );
    expect(listed).toContain("guest");
    expect(await say("guest", ECHO)).toEqual(WITH);
  } finally {
    await fleet.clients.fleet.deleteAgent({ agentId: "guest" });
    await sidecar.dispose();
  }
  expect(processesNaming(sidecar.home)).toEqual([]);
}, 120_000);
