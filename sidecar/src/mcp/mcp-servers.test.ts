import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { killGroup, spawnGroup } from "@openhermit/processes";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { memoryJournal, type MemoryJournal } from "../runtime/test/memory-journal.ts";
import { snapshotOf, testRuntime, turnOf, type TestRuntime } from "../runtime/test/test-runtime.ts";
import { bad, childrenOf, EVERYTHING, FILESYSTEM, freePort, stdio, type Server } from "./test/test-servers.ts";

const never = new AbortController().signal;

let one: TestRuntime;
beforeEach(async () => {
  one = await testRuntime({ SECRET_KEY: "must not be passed on" });
});
afterEach(async () => {
  await one.close();
  if (childrenOf(one.owner).length > 0) throw new Error("processes are left after close");
});

const apply = (...servers: Server[]) => one.runtime.apply(snapshotOf({ servers }));
const healthOf = (id: string) => one.runtime.health().find(({ name }) => name === `mcp:${id}`);
const stateOf = (id: string, state: HealthState) =>
  waitFor(() => healthOf(id)?.state === state && healthOf(id), { what: `mcp:${id} to be in state ${state}` });
const ok = (id: string) => stateOf(id, HealthState.OK);

async function say(message: string, signal = never): Promise<MemoryJournal & { answer: string; state: TurnState }> {
  const journal = memoryJournal("t1", message);
  const { answer, state } = await one.runtime.runTurn(turnOf(), journal, signal);
  return { ...journal, answer, state };
}

describe("real servers", () => {
  test("a tool of server-everything is called over stdio; the turn waits for the first connection", async () => {
    await apply(stdio("everything", [EVERYTHING]));
    const turn = await say("use echo to say hello");
    expect(turn).toMatchObject({
      state: TurnState.SUCCEEDED,
      answer: "The tool everything__echo answered: Echo: hello",
    });
    expect(turn.order.slice(0, 3)).toEqual(["step", "call", "result"]);
    expect(turn.steps[0]?.toolsStart).toBe(true);
    expect(turn.uses[0]).toMatchObject({ name: "everything__echo", isError: false, result: "Echo: hello" });
    expect(healthOf("everything")).toMatchObject({ state: HealthState.OK, detail: "" });
  });

  test("images and structured answers become text", async () => {
    await apply(stdio("everything", [EVERYTHING]));
    expect((await say("use get-tiny-image with {}")).answer).toMatch(/\[image image\/png, \d+ bytes\]/);
    expect((await say('use get-structured-content with {"location": "Chicago"}')).answer).toContain("temperature");
    expect((await say('use get-sum with {"a": "x"}')).answer).toContain("failed");
  });

  test("server-filesystem serves the agent's workspace", async () => {
    writeFileSync(join(one.workspace, "note.txt"), "remember the milk");
    await apply(stdio("files", [FILESYSTEM, "."]));
    const { answer } = await say(
      `use read_text_file with {"path": ${JSON.stringify(join(one.workspace, "note.txt"))}}`,
    );
    expect(answer).toContain("remember the milk");
  });

  test("server-everything over streamable HTTP; it is found again after it was away", async () => {
    const port = String(await freePort());
    const start = () =>
      spawnGroup({
        command: process.execPath,
        args: [EVERYTHING, "streamableHttp"],
        cwd: one.workspace,
        env: { PORT: port },
        stdio: "ignore",
        marker: `http-${one.owner}`,
      });
    const url = `http://127.0.0.1:${port}/mcp`;
    const http = { id: "web", transport: { case: "http" as const, value: { url } } };
    await apply(http);
    const down = await stateOf("web", HealthState.DOWN);
    expect(down.detail).toContain("ECONNREFUSED");
    let server = await start();
    try {
      await ok("web");
      expect((await say("use echo to say hi")).answer).toContain("Echo: hi");
      await killGroup(server, { graceMs: 0 });
      await stateOf("web", HealthState.DOWN);
      server = await start();
      await ok("web");
      expect((await say("use echo to say again")).answer).toContain("Echo: again");
    } finally {
      await killGroup(server, { graceMs: 0 });
    }
  });
});

describe("a server that misbehaves", () => {
  test("does not exist: the agent answers, health names the command", async () => {
    await apply({ id: "bad", transport: { case: "stdio", value: { command: "no-such-program" } } });
    expect((await say("good morning")).answer).toContain("good morning");
    expect((await stateOf("bad", HealthState.DOWN)).detail).toContain('"no-such-program" was not found in PATH');
  });

  test("crashes on start: health has the exit code and its last words, without terminal sequences", async () => {
    await apply(bad("exit-on-start"));
    expect((await say("good morning")).answer).toContain("good morning");
    expect((await stateOf("bad", HealthState.DOWN)).detail).toMatch(
      /^It exited with code 3; the last it said was: no such database\. /,
    );
  });

  test("crashes once: it is started again", async () => {
    await apply(bad("exit-once", {}, join(one.workspace, "started")));
    await stateOf("bad", HealthState.DOWN);
    await ok("bad");
    expect((await say('use ping with {"text": "x"}')).answer).toContain("bad__ping answered");
  });

  test("hangs on start: the first turn waits three seconds for all of them together, later ones not", async () => {
    const hangs = ["a", "b", "c"].map((id) => ({ ...bad("hang-on-start"), id }));
    await apply(...hangs, stdio("everything", [EVERYTHING]));
    const began = performance.now();
    expect((await say("use echo to say hello")).answer).toContain("Echo: hello");
    const first = performance.now() - began;
    expect(first).toBeGreaterThan(2900);
    expect(first).toBeLessThan(4500);
    const second = performance.now();
    await say("use echo to say hello");
    expect(performance.now() - second).toBeLessThan(2000);
    expect(healthOf("a")?.state).toBe(HealthState.UNSPECIFIED);
  });

  test("hangs on start past its timeout: health says so and nothing of it is left", async () => {
    await apply(bad("hang-on-start", { connectTimeout: durationFromMs(300) }));
    expect((await stateOf("bad", HealthState.DOWN)).detail).toContain("did not answer within 0.3 s");
  });

  test("crashes while it is called: an answer the model sees, then a connection again", async () => {
    await apply(bad("exit-on-call"));
    const turn = await say('use ping with {"text": "x"}');
    expect(turn.state).toBe(TurnState.SUCCEEDED);
    expect(turn.answer).toContain("ended during the call");
    expect(turn.uses[0]?.isError).toBe(true);
    await stateOf("bad", HealthState.DOWN);
    await ok("bad");
  });

  test("hangs while it is called: the call times out; a cancel reaches the server and ends the turn at once", async () => {
    await apply(bad("hang-on-call", { callTimeout: durationFromMs(300) }));
    expect((await say('use ping with {"text": "x"}')).answer).toContain("did not answer within 0.3 s");
    await apply(bad("hang-on-call"));
    await ok("bad");
    const cancel = new AbortController();
    const journal = memoryJournal("t1", 'use ping with {"text": "x"}');
    const ended = one.runtime.runTurn(turnOf(), journal, cancel.signal);
    await waitFor(() => journal.order.includes("call"), { what: "the tool to be called" });
    const at = performance.now();
    cancel.abort();
    expect((await ended).state).toBe(TurnState.CANCELLED);
    expect(performance.now() - at).toBeLessThan(1000);
    expect(journal.uses[0]?.result).toContain("outcome is unknown");
    expect((await say("use log with {}")).answer).toContain("notifications/cancelled");
  });

  test("floods stderr: it works, the log gets a few lines, memory stays flat", async () => {
    await apply(bad("flood-stderr"));
    expect((await say('use ping with {"text": "x"}')).answer).toContain("bad__ping answered");
    const before = process.memoryUsage().rss;
    const until = performance.now() + 2500;
    await waitFor(() => performance.now() > until, { what: "the flood to go on" });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
    const lines = one.log.records().filter(({ msg }) => msg === "mcp server wrote to stderr");
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(40);
    expect(Math.max(...lines.map(({ line }) => String(line).length))).toBeLessThanOrEqual(500);
  });

  test("writes other things to stdout, lists its tools in pages, answers at length", async () => {
    await apply(bad("noisy-stdout"), { ...bad("paged"), id: "paged" }, { ...bad("big"), id: "big" });
    await Promise.all([ok("bad"), ok("paged"), ok("big")]);
    expect((await say("use nothing to say x")).answer).toContain(
      "paged__tool-0, paged__tool-1, paged__tool-2, paged__tool-3",
    );
    const big = await say("use big__ping with {}");
    const result = big.history.find(({ entry }) => entry.case === "toolResult")?.entry.value as { text: string };
    expect(Buffer.byteLength(result.text)).toBeLessThanOrEqual(256 * 1024);
    expect(result.text).toContain("[cut: 400000 bytes");
    expect(big.uses[0]?.result.length).toBeLessThanOrEqual(4096);
  });

  test("does not leave when told to, nor does its own child: both are gone after close", async () => {
    await apply(bad("ignores-signals"));
    await ok("bad");
    await waitFor(() => childrenOf(one.owner).length === 2, { what: "its child" });
    await one.runtime.close();
    expect(childrenOf(one.owner)).toEqual([]);
  });
});

test("a server that knows only the newest protocol revision is spoken to in that", async () => {
  await apply(bad("modern-only"));
  expect((await say('use ping with {"text": "x"}')).answer).toContain("bad__ping answered");
});

test("a server that changes its tools has them in the next turn", async () => {
  await apply(bad("changing"));
  expect((await say("use pong with {}")).answer).toContain('no tool "pong"');
  await say('use ping with {"text": "x"}');
  await waitFor(async () => (await say("use pong with {}")).answer.includes("bad__pong answered"), {
    what: "the new tool",
  });
});

test("the child sees a minimal environment, the workspace, the trace and a key for repeated calls", async () => {
  await apply(bad("plain"));
  const turn = { ...turnOf(), traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
  const journal = memoryJournal("t1", 'use ping with {"text": "x"}');
  const { answer } = await one.runtime.runTurn(turn, journal, never);
  const seen = JSON.parse(answer.slice(answer.indexOf("{"))) as { log: { meta: unknown }[]; env: object; cwd: string };
  expect(Object.keys(seen.env).toSorted()).toEqual(["CONFIGURED", "HOME", "OPENHERMIT_OWNER", "PATH"]);
  expect(seen.cwd).toBe(one.workspace);
  expect(seen.log.at(-1)?.meta).toMatchObject({
    traceparent: expect.stringMatching(/^00-0af7651916cd43dd8448eb211c80319c-/),
    "openhermit.dev/idempotency-key": "t1/call_1",
  });
});

test("a new snapshot reconnects what changed and leaves the rest", async () => {
  await apply(bad("plain"), { ...bad("plain"), id: "gone" }, { ...bad("plain"), id: "moved" });
  await Promise.all([ok("bad"), ok("gone"), ok("moved")]);
  const before = childrenOf(one.owner);
  expect(before).toHaveLength(3);
  await apply({ ...bad("plain"), agents: ["*"], etag: "2" }, { ...bad("paged"), id: "moved" });
  await ok("moved");
  expect(healthOf("gone")).toBeUndefined();
  await waitFor(() => childrenOf(one.owner).length === 2, { what: "the old ones to be gone" });
  expect(childrenOf(one.owner).filter((pid) => before.includes(pid))).toHaveLength(1);
  expect((await say("use nothing to say x")).answer).toContain(
    "My tools: bad__ping, moved__tool-0, moved__tool-1, moved__tool-2, moved__tool-3.",
  );
});
