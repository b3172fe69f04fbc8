import type { RecordChanges } from "@openhermit/caller";
import { conflict, type MeshError } from "@openhermit/errors";
import { readManifestDocument } from "./manifest-document.ts";
import { lockApply } from "./manifest-store.ts";
import {
  applyOptions,
  carryOut,
  checkRefused,
  compileForCaller,
  makePlan,
  takenBy,
  type ManifestCall,
  type ManifestParts,
  type PlanResult,
} from "./plan.ts";
import type { PlannedChange } from "./planned-change.ts";

/** An apply that was asked for. */
export interface ApplyCall extends ManifestCall {
  prune: boolean;
  /** The plan to carry out; empty: whatever is to be done. */
  planToken: string;
  /** Writes into the audit trail. */
  record: RecordChanges;
}

/**
 * Makes the fleet what the manifest says, in one transaction: all of it or nothing. Throws APPLY_IN_PROGRESS while another
 * one is under way, PLAN_STALE when the plan is no longer what would be done, and RIGHT_MISSING when it would change what
 * the caller may not.
 */
export async function applyManifest(
  { database, ports, checkRules }: ManifestParts,
  { manifest, caller, context, prune, planToken, record }: ApplyCall,
): Promise<PlanResult> {
  const document = readManifestDocument(manifest);
  const result = await database.transaction(async (tx): Promise<PlanResult> => {
    await lockApply(tx);
    const options = applyOptions(ports, { context, caller, prune, record });
    const takes = takenBy(options);
    const compiled = await compileForCaller(tx, ports, checkRules, { document, manifest, caller, takes });
    if (compiled.kind === "invalid") return compiled;
    const { wanted } = compiled;
    const plan = planToken === "" ? undefined : await makePlan(tx, ports, wanted, options);
    if (plan !== undefined && plan.token !== planToken) throw planStale();
    const changes = await carryOut(tx, ports, wanted, options);
    checkRefused(changes);
    // Others change agents and servers without the lock of applying: between the plan and now, too.
    if (plan !== undefined && !isSame(plan.changes, changes)) throw planStale();
    return { kind: "planned", changes: plan?.changes ?? changes, token: "" };
  });
  if (result.kind === "planned") {
    const deleted = result.changes.filter(
      ({ resourceType, change }) => resourceType === "agent" && change.action === "delete",
    );
    await ports.manifestApplied(deleted.map(({ change }) => change.id));
  }
  return result;
}

/**
 * Whether what was done is what was planned. When agents are deleted the catalogue has less left to do than the plan says,
 * since their assignments go with them; then it is not compared.
 */
function isSame(planned: readonly PlannedChange[], done: readonly PlannedChange[]): boolean {
  const isDeleted = planned.some(({ resourceType, change }) => resourceType === "agent" && change.action === "delete");
  const ofFleet = ({ resourceType }: PlannedChange): boolean =>
    !isDeleted || (resourceType !== "skill" && resourceType !== "mcp-server");
  const line = ({ resourceType, change: { id, action, version } }: PlannedChange): string =>
    JSON.stringify([resourceType, id, action, version]);
  return planned.filter(ofFleet).map(line).join("\n") === done.filter(ofFleet).map(line).join("\n");
}

function planStale(): MeshError {
  return conflict("PLAN_STALE", "the fleet or the manifest has changed since the plan; nothing was changed", {
    hint: "Make a new plan, look at it, and apply that one.",
  });
}
