import { AgentState, DesiredState, Launcher } from "@openhermit/protocol/fleet/v1/agent";
import { describe, expect, it } from "vitest";
import { NEVER_OBSERVED, observedState, type LinkObservation, type ProcessPhase } from "./agent-status.ts";

const at = (second: number): Date => new Date(1_000_000 + second * 1000);
const word = Object.fromEntries(Object.entries(AgentState).map(([name, value]) => [value, name]));

function stateOf(
  phase: ProcessPhase,
  link: Partial<LinkObservation>,
  options: { launcher?: Launcher; desiredState?: DesiredState; phaseAt?: number } = {},
): string | undefined {
  const { launcher = Launcher.PROCESS, desiredState = DesiredState.RUNNING, phaseAt = 10 } = options;
  const { state } = observedState(
    { desiredState, launcher, desiredSince: at(0) },
    {
      link: { ...NEVER_OBSERVED.link, ...link },
      process: { ...NEVER_OBSERVED.process, phase, since: phase === "none" ? undefined : at(phaseAt) },
    },
  );
  return word[state];
}

describe("observedState", () => {
  const lost = { attached: false, since: at(20), sidecarId: "one" };
  const attached = { attached: true, since: at(20), sidecarId: "one" };
  const ready = { ...attached, ready: true };

  it.each([
    ["never seen", "none", {}, "STARTING"],
    ["started, not attached yet", "starting", {}, "STARTING"],
    ["attached, nothing applied", "starting", attached, "STARTING"],
    ["attached and applied", "starting", ready, "ONLINE"],
    ["adopted and applied", "adopted", ready, "ONLINE"],
    ["its link broke while its process runs", "starting", lost, "UNREACHABLE"],
    ["adopted, not attached again yet", "adopted", lost, "UNREACHABLE"],
    ["exited", "crashed", lost, "CRASHED"],
    ["exited, the end of its link not seen yet", "crashed", ready, "CRASHED"],
    ["stopped with its gateway", "stopped", lost, "STARTING"],
    ["restarting", "stopping", ready, "STOPPING"],
  ] as const)("of one that should run: %s", (_, phase, link, wanted) => {
    expect(stateOf(phase, link)).toBe(wanted);
  });

  it("is STARTING when the process is younger than the end of its last link", () => {
    expect(stateOf("starting", lost, { phaseAt: 30 })).toBe("STARTING");
  });

  it.each([
    ["none", {}, "STOPPED"],
    ["starting", ready, "STOPPING"],
    ["stopping", lost, "STOPPING"],
    ["stopped", lost, "STOPPED"],
    ["crashed", lost, "STOPPED"],
  ] as const)("of one that should not run: %s", (phase, link, wanted) => {
    expect(stateOf(phase, link, { desiredState: DesiredState.STOPPED })).toBe(wanted);
  });

  it.each([
    [{}, DesiredState.RUNNING, "STARTING"],
    [ready, DesiredState.RUNNING, "ONLINE"],
    [lost, DesiredState.RUNNING, "UNREACHABLE"],
    [ready, DesiredState.STOPPED, "STOPPED"],
  ] as const)("of one that somebody else starts", (link, desiredState, wanted) => {
    expect(stateOf("crashed", link, { launcher: Launcher.EXTERNAL, desiredState })).toBe(wanted);
  });

  it("is never older than what is wanted", () => {
    const { since } = observedState(
      { desiredState: DesiredState.RUNNING, launcher: Launcher.PROCESS, desiredSince: at(100) },
      { ...NEVER_OBSERVED, process: { ...NEVER_OBSERVED.process, phase: "stopped", since: at(5) } },
    );
    expect(since).toEqual(at(100));
  });
});
