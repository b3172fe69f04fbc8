import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import { memoryJournal } from "../runtime/test/memory-journal.ts";
import { snapshotOf, testRuntime, turnOf, type TestRuntime } from "../runtime/test/test-runtime.ts";
import { bad, childrenOf, EVERYTHING, MISBEHAVING, stdio, type Server } from "./test/test-servers.ts";

const never = new AbortController().signal;

let one: TestRuntime;
beforeEach(async () => {
  one = await testRuntime();
});
afterEach(async () => {
  await one.close();
  if (childrenOf(one.owner).length > 0) throw new Error("processes are left after close");
});

const apply = (...servers: Server[]) => one.runtime.apply(snapshotOf({ servers }));
const healthOf = (id: string) => one.runtime.health().find(({ name }) => name === `mcp:${id}`);
const stateOf = (id: string, state: HealthState) =>
  waitFor(() => healthOf(id)?.state === state && healthOf(id), {
    what: `mcp:${id} to be in state ${state}`,
    deadlineMs: 20_000,
  });
const say = (message: string) => one.runtime.runTurn(turnOf(), memoryJournal("t1", message), never);
const pidOf = (id: string): string[] => childrenOf(`${one.owner}/mcp-${id}-`);

test("a server that is enabled, changed, or disabled for one agent leaves the connections of the others alone", async () => {
  const kept = stdio("everything", [EVERYTHING]);
  await apply(kept, bad("plain"));
  await Promise.all([stateOf("everything", HealthState.OK), stateOf("bad", HealthState.OK)]);
  const [pid] = pidOf("everything");
  const since = healthOf("everything")?.since;
  expect(pid).toBeDefined();
  const stays = (): void => {
    expect(pidOf("everything")).toEqual([pid]);
    expect(healthOf("everything")).toMatchObject({ state: HealthState.OK, since });
  };

  await apply(kept, bad("paged"));
  await waitFor(() => healthOf("bad")?.toolCount === 4, { what: "the changed one" });
  stays();
  await apply({ ...kept, agents: ["*"], disabledAgents: ["two"], etag: "7" }, bad("paged"));
  await apply(
    { ...kept, agents: ["*"], disabledAgents: ["two", "three"], etag: "8" },
    { ...bad("exit-on-start"), id: "broken" },
  );
  await stateOf("broken", HealthState.DOWN);
  stays();
  await apply(kept, { id: "nothing" }, { ...bad("hang-on-start"), id: "hangs" });
  stays();
  expect((await say("use echo to say hello")).answer).toContain("Echo: hello");
  stays();
});

test("a server that hangs, or that can't be, delays no turn but by the wait for its first connection", async () => {
  await apply(stdio("everything", [EVERYTHING]));
  await stateOf("everything", HealthState.OK);
  const began = performance.now();
  await apply(stdio("everything", [EVERYTHING]), bad("hang-on-start"), { id: "nothing" });
  expect(performance.now() - began).toBeLessThan(2000);
  // One that runs when it is enabled has not waited for it; those that start then share one wait.
  const waits = await Promise.all(
    ["a", "b", "c"].map(async (word) => {
      const outcome = await say(`use echo to say ${word}`);
      expect(outcome).toMatchObject({ state: TurnState.SUCCEEDED });
      expect(outcome.answer).toContain(`Echo: ${word}`);
      return performance.now() - began;
    }),
  );
  expect(Math.max(...waits)).toBeLessThan(6000);
  const second = performance.now();
  await say("use echo to say d");
  expect(performance.now() - second).toBeLessThan(2500);
  expect(healthOf("nothing")).toMatchObject({
    state: HealthState.DOWN,
    lastError: "It has neither a command nor a URL.",
  });
});

test("health tells the number of tools, the last error also after it was mended, and since when the state is so", async () => {
  const started = join(one.workspace, "started");
  await apply(bad("exit-once", {}, started));
  const down = await stateOf("bad", HealthState.DOWN);
  expect(down).toMatchObject({ toolCount: 0, lastError: "It exited with code 1." });
  const up = await stateOf("bad", HealthState.OK);
  expect(up).toMatchObject({
    detail: "",
    toolCount: 1,
    lastError: "It exited with code 1.",
    lastErrorTime: down.lastErrorTime,
  });
  expect(down.lastErrorTime).toBeDefined();
  expect(
    up.since === undefined || down.since === undefined || timestampDate(up.since) >= timestampDate(down.since),
  ).toBe(true);

  await apply(bad("changing"));
  const first = await stateOf("bad", HealthState.OK);
  expect(first).toMatchObject({ toolCount: 1, lastError: "" });
  expect(first.lastErrorTime).toBeUndefined();
  await say('use ping with {"text": "x"}');
  const changed = await waitFor(() => healthOf("bad")?.toolCount === 2 && healthOf("bad"), { what: "the second tool" });
  expect(changed.since).toEqual(first.since);

  // The same error again and again is one error, and the state is one state, whatever the words.
  await apply({ ...bad("hang-on-start", { connectTimeout: durationFromMs(50) }), id: "slow" });
  const hung = await stateOf("slow", HealthState.DOWN);
  const tries = () =>
    one.log
      .records()
      .filter(({ msg, reason }) => msg === "mcp server is not connected" && String(reason).includes("0.05 s")).length;
  await waitFor(() => tries() >= 3, { what: "more tries", deadlineMs: 20_000 });
  expect(healthOf("slow")).toEqual(hung);
});

test("a lost server keeps its tools in the count, and its state begins anew", async () => {
  writeFileSync(join(one.workspace, "started"), "");
  await apply(stdio("bad", [MISBEHAVING, "exit-on-call"]));
  const up = await stateOf("bad", HealthState.OK);
  await say('use ping with {"text": "x"}');
  const down = await stateOf("bad", HealthState.DOWN);
  expect(down).toMatchObject({ toolCount: 1, lastError: "It exited with code 7." });
  expect(down.since).not.toEqual(up.since);
  const again = await stateOf("bad", HealthState.OK);
  expect(again).toMatchObject({ toolCount: 1, detail: "", lastError: "It exited with code 7." });
});
