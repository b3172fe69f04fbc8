import { AgentState } from "@openhermit/protocol/fleet/v1/agent";
import { HealthState } from "@openhermit/protocol/health/v1/health";
import { expect, test } from "vitest";
import { component, isSame, normalise, worst } from "./component-health.ts";
import { agentHealth, fleetHealth, type AgentView, type Report } from "./fleet-health.ts";

const NOW = new Date("2026-01-02T03:04:05Z");
const UP = { ready: true, since: NOW, detail: "" };
const view = (agentId: string, state: AgentState, more: Partial<AgentView> = {}): AgentView => ({
  agentId,
  state,
  stateSince: NOW,
  detail: "",
  ...more,
});
const report = (...components: Report["components"]): Report => ({ reportTime: NOW, components, attached: true });
const OK_REPORT = report(component("model", HealthState.OK, ""));
const stateOf = (state: AgentState, last?: Report, more?: Partial<AgentView>) =>
  agentHealth(view("one", state, more), last).state;

test("an agent is as well as the worst of its link and its components", () => {
  const broken = report(
    component("mcp:x", HealthState.DOWN, "no such program"),
    component("model", HealthState.OK, ""),
  );
  expect(stateOf(AgentState.ONLINE, OK_REPORT)).toBe(HealthState.OK);
  expect(stateOf(AgentState.ONLINE, broken)).toBe(HealthState.DOWN);
  expect(stateOf(AgentState.ONLINE, undefined)).toBe(HealthState.UNSPECIFIED);
  expect(stateOf(AgentState.ONLINE, OK_REPORT, { rejectedReason: "bad" })).toBe(HealthState.DEGRADED);
  expect(stateOf(AgentState.STARTING, OK_REPORT)).toBe(HealthState.DEGRADED);
  expect(stateOf(AgentState.CRASHED, OK_REPORT)).toBe(HealthState.DOWN);
  expect(stateOf(AgentState.UNREACHABLE, OK_REPORT)).toBe(HealthState.DOWN);
  // What a stopped agent last said is no problem any more.
  expect(stateOf(AgentState.STOPPED, broken)).toBe(HealthState.OK);
  expect(stateOf(AgentState.STOPPING, broken)).toBe(HealthState.OK);
  expect(worst([])).toBe(HealthState.OK);
  expect(worst([HealthState.OK, 99 as HealthState])).toBe(HealthState.UNSPECIFIED);
});

test("the summary says what is wrong with whom, and what to do", () => {
  const views = [
    view("two", AgentState.CRASHED, { detail: "its sidecar exited with code 1; next start in 4 s" }),
    view("one", AgentState.ONLINE),
    view("off", AgentState.STOPPED),
    view("gone", AgentState.UNREACHABLE),
  ];
  const reports = new Map([
    ["one", report(component("mcp:x", HealthState.DEGRADED, "it answers slowly; look at its log"))],
    ["forgotten", report(component("mcp:x", HealthState.DOWN, ""))],
  ]);
  const health = fleetHealth(UP, views, reports);
  expect(health.state).toBe(HealthState.DEGRADED);
  expect(health.reasons).toEqual([
    'agent "gone": its sidecar does not answer; check its host and its network',
    'agent "one": mcp:x works in part: it answers slowly; look at its log',
    'agent "two": its sidecar exited with code 1; next start in 4 s',
  ]);
  expect(health.agents.map(({ agentId }) => agentId)).toEqual(["gone", "off", "one", "two"]);
  expect(fleetHealth(UP, [view("off", AgentState.STOPPED)], new Map())).toMatchObject({
    state: HealthState.OK,
    reasons: [],
  });
});

test("without a database the fleet is down, and says why", () => {
  const away = { ready: false, since: NOW, detail: "connect ECONNREFUSED 127.0.0.1:5432" };
  const health = fleetHealth(away, [view("one", AgentState.ONLINE)], new Map([["one", OK_REPORT]]));
  expect(health.state).toBe(HealthState.DOWN);
  expect(health.reasons).toEqual([
    "the database is away since 2026-01-02T03:04:05.000Z (connect ECONNREFUSED 127.0.0.1:5432); " +
      "the gateway reconnects by itself, check that PostgreSQL runs",
  ]);
  expect(health.gatewayComponents).toMatchObject([{ name: "database", state: HealthState.DOWN, detail: away.detail }]);
});

test("a summary of a thousand agents in trouble stays short", () => {
  const views = Array.from({ length: 1000 }, (_, i) => view(`agent-${i}`, AgentState.UNREACHABLE));
  const { reasons, agents } = fleetHealth(UP, views, new Map());
  expect(agents).toHaveLength(1000);
  expect(reasons).toHaveLength(51);
  expect(reasons.at(-1)).toBe("there are 950 more problems like these");
});

test("a report is put in order, and a component that did not change keeps its time", () => {
  const before = [
    component("b", HealthState.OK, "", new Date(1000)),
    component("c", HealthState.OK, "", new Date(1000)),
  ];
  const after = normalise(
    [
      component("c", HealthState.DOWN, "x".repeat(5000)),
      component("b", HealthState.DOWN, ""),
      component("b", HealthState.OK, ""),
    ],
    before,
    NOW,
  );
  expect(after.map(({ name }) => name)).toEqual(["b", "c"]);
  expect(after[0]?.since?.seconds).toBe(1n);
  expect(after[1]?.since?.seconds).toBe(BigInt(NOW.getTime() / 1000));
  expect(after[1]?.detail).toHaveLength(2000);
  expect(isSame(after, before)).toBe(false);
  expect(isSame(after, normalise(after, before, NOW))).toBe(true);
});
