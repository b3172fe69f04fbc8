import { failedPrecondition, invalidArgument, unavailable } from "@openhermit/errors";
import type { Snapshot } from "@openhermit/protocol/mesh/v1/snapshot";
import { waitFor } from "@openhermit/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

import type { AgentRuntime } from "../runtime/agent-runtime.ts";
import { offlineSnapshot } from "../test/test-gateway.ts";
import { createHostedAgent, type HostedAgent } from "./hosted-agent.ts";

/** What happened, in order: `try 2`, `applied 2`, `rejected 2: why`, `aborted 2`, `closed`. */
let happened: string[];
/** What applying a generation does; by default it succeeds. */
let outcomes: Map<bigint, (signal: AbortSignal) => Promise<void>>;
let agent: HostedAgent;

const runtime: AgentRuntime = {
  async apply({ generation }, signal = AbortSignal.abort()) {
    happened.push(`try ${generation}`);
    signal.addEventListener("abort", () => happened.push(`aborted ${generation}`));
    await outcomes.get(generation)?.(signal);
  },
  runTurn: () => Promise.reject(new Error("no turns here")),
  health: () => [],
  async close() {
    happened.push("closed");
  },
};
const snapshot = (generation: number): Snapshot => offlineSnapshot(BigInt(generation));
const fails = (problem: Error) => async () => {
  throw problem;
};
const hangs = (signal: AbortSignal): Promise<void> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
const triesOf = (generation: number): number => happened.filter((one) => one === `try ${generation}`).length;
const away = (what = "the gateway is away") => unavailable("SKILL_UNAVAILABLE", what);

beforeEach(() => {
  happened = [];
  outcomes = new Map();
  agent = createHostedAgent({
    agentId: "one",
    createRuntime: async () => runtime,
    onApplied: ({ generation }) => happened.push(`applied ${generation}`),
    onRejected: ({ generation }, error) => happened.push(`rejected ${generation}: ${error.message}`),
  });
});
afterEach(() => agent.close());

test("a reason that may pass is tried again until it has; turns do not wait for that", async () => {
  agent.take(snapshot(1));
  await agent.applying;
  outcomes.set(2n, fails(away()));
  agent.take(snapshot(2));
  await agent.applying;
  expect(happened).toEqual(["try 1", "applied 1", "try 2", "rejected 2: the gateway is away"]);
  expect(agent.snapshot?.generation).toBe(1n);
  await waitFor(() => triesOf(2) === 2, { what: "the second try" });
  expect(agent.applying).toBeUndefined();
  outcomes.set(2n, fails(failedPrecondition("SKILL_NOT_MOUNTED", "something is in the way")));
  await waitFor(() => triesOf(2) === 3, { what: "the third try" });
  outcomes.delete(2n);
  await waitFor(() => agent.snapshot?.generation === 2n, { what: "the fourth try" });
  // The same reason again is not told again.
  expect(happened.slice(3)).toEqual([
    "rejected 2: the gateway is away",
    "try 2",
    "try 2",
    "rejected 2: something is in the way",
    "try 2",
    "applied 2",
  ]);
}, 60_000);

test("a reason that stays is not tried again", async () => {
  outcomes.set(1n, fails(invalidArgument("MODEL_UNKNOWN", "there is no such model")));
  agent.take(snapshot(1));
  await agent.applying;
  const until = performance.now() + 1500;
  await waitFor(() => performance.now() > until, { what: "some time" });
  expect(happened).toEqual(["try 1", "rejected 1: there is no such model"]);
});

test("a newer snapshot ends the tries, the same one again is tried at once and told again", async () => {
  outcomes.set(1n, fails(away()));
  agent.take(snapshot(1));
  await agent.applying;
  agent.take(snapshot(1));
  await agent.applying;
  const twice = ["try 1", "rejected 1: the gateway is away", "try 1", "rejected 1: the gateway is away"];
  expect(happened).toEqual(twice);
  agent.take(snapshot(2));
  await agent.applying;
  // Older ones, as of a slow gateway, change nothing.
  agent.take(snapshot(1));
  await agent.applying;
  const until = performance.now() + 1500;
  await waitFor(() => performance.now() > until, { what: "some time" });
  expect(happened).toEqual([...twice, "try 2", "applied 2", "applied 2"]);
});

test("a try that hangs is ended by a newer snapshot and by the end of the agent, and says nothing", async () => {
  outcomes.set(1n, hangs);
  agent.take(snapshot(1));
  await waitFor(() => triesOf(1) === 1, { what: "the try" });
  agent.take(snapshot(2));
  await agent.applying;
  expect(happened).toEqual(["try 1", "aborted 1", "try 2", "applied 2"]);

  outcomes.set(3n, fails(away()));
  agent.take(snapshot(3));
  await agent.applying;
  outcomes.set(3n, hangs);
  await waitFor(() => triesOf(3) === 2, { what: "the second try" });
  expect(agent.applying).toBeUndefined();
  agent.take(snapshot(4));
  await agent.applying;
  expect(happened.slice(4)).toEqual([
    "try 3",
    "rejected 3: the gateway is away",
    "try 3",
    "aborted 3",
    "try 4",
    "applied 4",
  ]);

  outcomes.set(5n, hangs);
  agent.take(snapshot(5));
  await waitFor(() => triesOf(5) === 1, { what: "the try" });
  await agent.close();
  expect(happened.slice(-3)).toEqual(["try 5", "aborted 5", "closed"]);
});
