import type { Caller } from "@openhermit/caller";

/** Who calls in a test. What is in reach may change meanwhile, as it does for an open stream. */
export type TestCaller = Extract<Caller, { kind: "principal" }> & {
  /** The agents in reach; empty for none. Of no account while `reachesAll`. */
  readonly agentIds: Set<string>;
  reachesAll: boolean;
};

/** Makes a principal that reaches the agents named, or all, and may own things for every team. */
export function testCaller(name = "local-operator", agentIds: readonly string[] | "all" = "all"): TestCaller {
  const inReach = new Set(agentIds === "all" ? [] : agentIds);
  const caller: TestCaller = {
    kind: "principal",
    name,
    agentIds: inReach,
    reachesAll: agentIds === "all",
    mayOwnFor: () => true,
    agents: {
      get all() {
        return caller.reachesAll;
      },
      has: (id) => caller.reachesAll || inReach.has(id),
      ids: () => [...inReach],
    },
  };
  return caller;
}
