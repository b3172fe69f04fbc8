import type { SidecarLink } from "./sidecar-link.ts";

/** The links of this gateway, one for each sidecar. */
export interface LinkRegistry {
  /** Adds a link in place of an older one of the same sidecar, which is returned; refuses it when a newer one is there. */
  add(link: SidecarLink): { added: boolean; older: SidecarLink | undefined };
  /** Removes a link; one that was replaced is gone already. */
  remove(link: SidecarLink): void;
  of(sidecarId: string): SidecarLink | undefined;
  /** The links of sidecars that host the agent, the newest last. */
  hosting(agentId: string): readonly SidecarLink[];
  all(): Iterable<SidecarLink>;
  /** The agents hosted by any link. */
  agentIds(): Iterable<string>;
}

const NONE: readonly SidecarLink[] = [];

/** Creates an empty registry. */
export function createLinkRegistry(): LinkRegistry {
  const bySidecar = new Map<string, SidecarLink>();
  const byAgent = new Map<string, SidecarLink[]>();

  const remove = (link: SidecarLink): void => {
    if (bySidecar.get(link.sidecarId) !== link) return;
    bySidecar.delete(link.sidecarId);
    for (const agentId of link.agentIds) {
      const rest = (byAgent.get(agentId) ?? []).filter((other) => other !== link);
      if (rest.length === 0) byAgent.delete(agentId);
      else byAgent.set(agentId, rest);
    }
  };

  return {
    add(link) {
      const older = bySidecar.get(link.sidecarId);
      if (older !== undefined && older.epoch > link.epoch) return { added: false, older: undefined };
      if (older !== undefined) remove(older);
      bySidecar.set(link.sidecarId, link);
      for (const agentId of link.agentIds) byAgent.set(agentId, [...(byAgent.get(agentId) ?? []), link]);
      return { added: true, older };
    },
    remove,
    of: (sidecarId) => bySidecar.get(sidecarId),
    hosting: (agentId) => byAgent.get(agentId) ?? NONE,
    all: () => bySidecar.values(),
    agentIds: () => byAgent.keys(),
  };
}
