import type { ResourceChange } from "./manifest-ports.ts";

/** The kinds of resource a manifest holds. */
export type ResourceType = "defaults" | "provider" | "agent" | "skill" | "mcp-server";

/** What is done to one resource. */
export interface PlannedChange {
  resourceType: ResourceType;
  change: ResourceChange;
}

/** The changes of all kinds in the order of a plan: as given, deletions last. */
export function planOrder(kinds: readonly (readonly [ResourceType, readonly ResourceChange[]])[]): PlannedChange[] {
  const all = kinds.flatMap(([resourceType, changes]) => changes.map((change) => ({ resourceType, change })));
  const isDeletion = ({ change }: PlannedChange): boolean => change.action === "delete";
  return [...all.filter((change) => !isDeletion(change)), ...all.filter(isDeletion)];
}
