import { callerName, reachOf, type Caller, type Reach } from "@openhermit/caller";
import { readManifestDocument } from "./manifest-document.ts";
import type { ApplyOptions, FieldDifference, LastChange, ResourceChange } from "./manifest-ports.ts";
import { compileForCaller, NOTHING, type ManifestCall, type ManifestParts } from "./plan.ts";
import { planOrder, type PlannedChange, type ResourceType } from "./planned-change.ts";
import type { Problem } from "./problem-list.ts";
import { inSnapshot } from "./snapshot.ts";

/** How a resource differs from the manifest. */
export interface ResourceDrift {
  kind: "changed" | "added" | "missing";
  resourceType: ResourceType;
  id: string;
  /** Before is what the manifest says, after is what is. */
  fields: readonly FieldDifference[];
  /** Who did it; undefined when it is not known. */
  lastChange: LastChange | undefined;
}

/** Where the fleet differs from a manifest, or why it can't be said. */
export type DriftResult =
  | { kind: "compared"; drifts: readonly ResourceDrift[]; unchangedCount: number }
  | { kind: "invalid"; problems: readonly Problem[] };

/** Nothing is out of reach. */
const EVERYTHING: Reach = { all: true, has: () => true, ids: () => [] };

/**
 * Says where the fleet differs from a manifest, also what only the fleet has, and who did that. For all that the caller may
 * read, whether it may write it or not. An agent out of reach is told as one that does not exist.
 */
export async function detectDrift(
  { database, ports, checkRules }: ManifestParts,
  { manifest, caller }: Omit<ManifestCall, "context">,
): Promise<DriftResult> {
  const document = readManifestDocument(manifest);
  return inSnapshot(database, async (tx): Promise<DriftResult> => {
    // What is only in the fleet may be referred to.
    const compiled = await compileForCaller(tx, ports, checkRules, { document, manifest, caller, takes: NOTHING });
    if (compiled.kind === "invalid") return compiled;
    const { wanted } = compiled;
    const options = (asker: Caller): ApplyOptions => ({
      dryRun: true,
      compareOnly: true,
      prune: true,
      caller: asker,
      record: async () => {},
      mayWrite: () => true,
    });
    // The fleet is asked as for somebody who reaches all, and what the caller does not reach is left out here: else values
    // that it may read and not write would be refused. The catalogue shows assignments, so it is asked as the caller.
    const everybody: Caller = {
      kind: "principal",
      name: callerName(caller),
      agents: EVERYTHING,
      mayOwnFor: () => true,
    };
    const fleet = await ports.applyFleet(tx, wanted, options(everybody));
    const catalog = await ports.applyCatalog(tx, wanted, options(caller));
    const reach = reachOf(caller);
    const teams = await ports.agentTeams(tx);
    const held = await ports.exportCatalog(tx, reach);
    const changes = planOrder([
      ["defaults", fleet.defaults],
      ["provider", fleet.providers],
      ["agent", agentsInReach(fleet.agents, teams, reach)],
      ["skill", told(catalog.skills, wanted.skills, held.skills)],
      ["mcp-server", told(catalog.mcpServers, wanted.mcpServers, held.mcpServers)],
    ]);
    const differing = changes.filter(({ change }) => change.action !== "none");
    // Who changed what is out of reach is not told either. Of the catalogue that is what is only seen to be refused, and
    // what was deleted: it may have been another team's.
    const isTold = ({ resourceType, change: { id, action, fields } }: PlannedChange): boolean =>
      resourceType === "agent" ? reach.has(id, teams.get(id)) : action !== "create" || (reach.all && fields.length > 0);
    const trail = await ports.lastChanges(
      tx,
      differing.filter(isTold).map(({ resourceType: type, change: { id } }) => ({ type, id })),
    );
    const drifts = differing.map((change) => driftOf(change, trail));
    return { kind: "compared", drifts, unchangedCount: changes.length - differing.length };
  });
}

/** What a plan says of agents, as the caller may know it: one out of reach is to be created, as far as it sees. */
function agentsInReach(
  changes: readonly ResourceChange[],
  teams: ReadonlyMap<string, string>,
  reach: Reach,
): ResourceChange[] {
  return changes.flatMap((change): ResourceChange[] => {
    const team = teams.get(change.id);
    if (team !== undefined && reach.has(change.id, team)) {
      return [change.action === "refused" ? { ...change, action: "update" } : change];
    }
    if (change.action === "delete") return [];
    return [team === undefined ? { ...change, action: "create" } : { ...change, action: "create", fields: [] }];
  });
}

/** What a plan says of things of the catalogue; of what it refuses no more is known than that it differs. */
function told(
  changes: readonly ResourceChange[],
  wanted: readonly { id: string }[],
  held: readonly { id: string }[],
): ResourceChange[] {
  const [wantedIds, heldIds] = [wanted, held].map((things) => new Set(things.map(({ id }) => id)));
  return changes.map((change) => {
    if (change.action !== "refused") return change;
    if (heldIds?.has(change.id) !== true) return { ...change, action: "create" };
    return { ...change, action: wantedIds?.has(change.id) === true ? "update" : "delete" };
  });
}

const KINDS = { create: "missing", update: "changed", delete: "added" } as const;

/** What an apply would change, read the other way round. */
function driftOf(
  { resourceType, change: { id, action, fields } }: PlannedChange,
  trail: ReadonlyMap<string, readonly LastChange[]>,
): ResourceDrift {
  const kind = KINDS[action as keyof typeof KINDS];
  const changes = trail.get(`${resourceType}/${id}`) ?? [];
  const paths = new Set(fields.map(({ path }) => path));
  const lastChange =
    kind === "missing"
      ? changes.find((change) => change.action.endsWith(".delete"))
      : (changes.find((change) => change.paths.some((path) => paths.has(path))) ?? changes[0]);
  const turned = fields.map(({ before, after, ...field }) => ({ ...field, before: after, after: before }));
  return { kind, resourceType, id, fields: turned, lastChange };
}
