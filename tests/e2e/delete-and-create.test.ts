import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { TurnState } from "@openhermit/protocol/sessions/v1/session";
import { waitFor } from "@openhermit/testing";
import { processesNaming } from "../fixture/processes-left.ts";
import { startFleet, type RunningFleet } from "../fixture/running-fleet.ts";
import { send } from "../fixture/send.ts";

const TWO = "agents:\n  two: { model: offline/echo }\n";
const BOTH = `${TWO}  one: { model: offline/echo }\n`;

let fleet: RunningFleet;
beforeAll(async () => {
  fleet = await startFleet({ manifest: BOTH });
}, 120_000);
afterAll(async () => {
  await fleet.dispose();
  expect(processesNaming(fleet.home)).toEqual([]);
});

const apply = (text: string) =>
  fleet.clients.manifest.applyManifest({ source: { files: [{ name: "agents.yaml", text }] }, prune: true });

test("an agent that is deleted and made anew before its sidecar has ended runs again, with a key of its own", async () => {
  const { one, two } = { one: fleet.sidecarPid("one"), two: fleet.sidecarPid("two") };
  for (let round = 0; round < 3; round++) {
    expect((await apply(TWO)).changes.map(({ resourceId }) => resourceId)).toEqual(["one"]);
    expect((await apply(BOTH)).changes.map(({ resourceId }) => resourceId)).toEqual(["one"]);
  }
  await waitFor(
    async () => {
      const { agent } = await fleet.clients.fleet.getAgent({ agentId: "one" });
      const { state, appliedGeneration, desiredGeneration } = agent?.status ?? {};
      return fleet.sidecarPid("one") !== one && state === AgentState.ONLINE && appliedGeneration === desiredGeneration;
    },
    { deadlineMs: 60_000, what: "the new sidecar of agent one" },
  );
  const { turn } = await send(fleet.clients.sessions, "one", "hello again");
  expect([turn.error?.message ?? "", turn.state]).toEqual(["", TurnState.SUCCEEDED]);
  expect(fleet.sidecarPid("two")).toBe(two);
  // Deleted for good, nothing of it goes on.
  const last = fleet.sidecarPid("one");
  await apply(TWO);
  const left = () => processesNaming(`${fleet.home}/sidecars/one`);
  await waitFor(() => left().length === 0, { deadlineMs: 60_000, what: `the end of the sidecar ${last}` });
}, 180_000);
