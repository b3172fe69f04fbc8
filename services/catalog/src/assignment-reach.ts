import { agentNotFound, type Reach } from "@openhermit/caller";
import { permissionDenied, resourceExhausted, type MeshError } from "@openhermit/errors";
import { EVERY_AGENT, MAX_ASSIGNED, namedTargets, type Assignment } from "./assignment.ts";
import type { CatalogItem, ItemKind } from "./catalog-item.ts";

/** The teams of agents, as far as they are known better than the caller's reach knows them. */
export type Owners = ReadonlyMap<string, string>;

/** Nothing better is known than the reach knows. */
export const NOTHING_KNOWN: Owners = new Map();

/** Whether one assignment may be seen: `*` by everybody. */
function sees(reach: Reach, target: string, owners: Owners): boolean {
  return target === EVERY_AGENT || reach.has(target, owners.get(target));
}

/** Whether the thing may be seen: it is every agent's, nobody's, or has a row of an agent in reach. */
export function isVisible(reach: Reach, assignment: Assignment, owners: Owners = NOTHING_KNOWN): boolean {
  return assignment.agents.length === 0 || namedTargets(assignment).some((target) => sees(reach, target, owners));
}

/** Whether all that the thing says may be seen, also which agents use it and which do not. */
export function isWholeVisible(reach: Reach, assignment: Assignment, owners: Owners): boolean {
  return namedTargets(assignment).every((target) => sees(reach, target, owners));
}

/** The assignment as the caller may see it: rows of agents out of reach are left out. */
export function visibleAssignment(
  reach: Reach,
  { agents, disabledAgents }: Assignment,
): { agents: string[]; disabledAgents: string[] } {
  const visible = (targets: readonly string[]): string[] =>
    targets.filter((target) => reach.all || sees(reach, target, NOTHING_KNOWN));
  return { agents: visible(agents), disabledAgents: visible(disabledAgents) };
}

/**
 * Whether the caller may change what all these assignments mean, and replace their rows: each agent is in reach, and for
 * `*` all there are.
 */
export function mayAssign(
  reach: Reach,
  assignments: readonly (Assignment | undefined)[],
  owners: Owners = NOTHING_KNOWN,
): boolean {
  return assignments
    .flatMap(namedTargets)
    .every((id) => (id === EVERY_AGENT ? reach.all : reach.has(id, owners.get(id))));
}

/**
 * Throws not_found for an agent that the caller names and does not reach. Nor may it name one that does not exist yet:
 * whoever makes an agent of that id would run what somebody else chose.
 */
export function checkNamed(reach: Reach, before: Assignment | undefined, after: Assignment, owners: Owners): void {
  if (reach.all) return;
  const check = (ids: readonly string[], knownIds: readonly string[]): void => {
    const known = new Set(knownIds);
    for (const id of ids) {
      if (id === EVERY_AGENT) continue;
      if (!(known.has(id) || owners.has(id)) || !reach.has(id, owners.get(id))) throw agentNotFound(id);
    }
  };
  check(after.agents, before?.agents ?? []);
  check(after.disabledAgents, namedTargets(before));
}

/** Throws ASSIGNMENTS_LIMITED when more agents are named one by one than one message can hold. */
export function checkAssigned<Item extends CatalogItem>({ noun, idField }: ItemKind<Item>, item: Item): void {
  if (item.agents.length <= MAX_ASSIGNED && item.disabledAgents.length <= MAX_ASSIGNED) return;
  throw resourceExhausted("ASSIGNMENTS_LIMITED", `${noun} "${item.id}" would name more than ${MAX_ASSIGNED} agents`, {
    hint: "Put it with '*' alone in place of them, and take it from the agents that should not have it.",
    fields: { [idField]: item.id },
  });
}

/** The error for a thing that may be seen and not changed. */
export function changeRefused({ resource, noun, idField }: KindWords, id: string): MeshError {
  return permissionDenied(
    "RIGHT_MISSING",
    `changing ${noun} "${id}" needs the right to change every agent that uses it`,
    {
      hint: "Ask an admin, or put one with another id for your own agents.",
      fields: { [idField]: id, right: `${resource}:${id}:write` },
    },
  );
}

/** The error for an assignment to `*` by who does not reach all agents. */
export function wildcardRefused({ resource, noun, idField }: KindWords, id: string): MeshError {
  return permissionDenied("RIGHT_MISSING", `assigning ${noun} "${id}" to every agent needs the right to change all`, {
    hint: "Name the agents, or ask an admin.",
    fields: { [idField]: id, right: `${resource}:${id}:write` },
  });
}

type KindWords = Pick<ItemKind<CatalogItem>, "resource" | "noun" | "idField">;
