/** Which things a caller may reach with the call that is being handled. Follows changes while a stream is open. */
export interface Reach {
  /** Whether nothing is out of reach, not even what comes in future. */
  readonly all: boolean;
  /** Whether one is in reach. What nobody has ever owned is in reach of everybody. `owner` where the asker knows it better. */
  has(id: string, owner?: string): boolean;
  /** The ids in reach as they are now, for a statement's `= ANY(…)`. Not to be asked when `all`. */
  ids(): string[];
}

/** Who makes a call, as its credential says; never as its request says. */
export type Caller =
  | {
      readonly kind: "principal";
      /** As it stands in logs: `member:alice`, `service-account:ci`, `local-operator`. */
      readonly name: string;
      /** The agents in reach, for the resource and the verb of this call. */
      readonly agents: Reach;
      /** Whether the caller may own things for a team, or give them to it. Everybody may for none, the empty id. */
      mayOwnFor(teamId: string): boolean;
    }
  | { readonly kind: "sidecar"; readonly sidecarId: string; readonly agentIds: readonly string[] }
  | { readonly kind: "anonymous" };

const NOTHING: Reach = { all: false, has: () => false, ids: () => [] };

/** The agents that a caller may reach as a principal: none for a sidecar and for nobody. */
export function reachOf(caller: Caller): Reach {
  return caller.kind === "principal" ? caller.agents : NOTHING;
}

/** The caller in a log: never more than an id. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case "principal":
      return caller.name;
    case "sidecar":
      return `sidecar:${caller.sidecarId}`;
    case "anonymous":
      return "anonymous";
  }
}
