import type { HandlerContext } from "@connectrpc/connect";
import { reachOf, type Caller, type RecordChanges } from "@openhermit/caller";
import { permissionDenied } from "@openhermit/errors";
import type { Database, Queryable } from "@openhermit/postgres";
import type { Manifest } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { KnownNames } from "./compile-context.ts";
import { compileManifest, type CompiledManifest, type CompileResult } from "./manifest-compile.ts";
import { readManifestDocument, type ManifestDocument } from "./manifest-document.ts";
import type { ApplyOptions, ManifestPorts } from "./manifest-ports.ts";
import type { CheckRules } from "./message-rules.ts";
import { planToken } from "./plan-token.ts";
import { planOrder, type PlannedChange } from "./planned-change.ts";
import type { Problem } from "./problem-list.ts";
import { inSnapshot } from "./snapshot.ts";

/** At most this many names are told of what was refused. */
const MAX_NAMES = 20;

/** What the methods of the manifest work with. */
export interface ManifestParts {
  database: Database;
  ports: ManifestPorts;
  checkRules: CheckRules;
}

/** A call about a manifest. */
export interface ManifestCall {
  manifest: Manifest;
  caller: Caller;
  context: HandlerContext;
}

/** What an apply would do, or did; or why it does nothing. */
export type PlanResult =
  | { kind: "planned"; changes: readonly PlannedChange[]; token: string }
  | { kind: "invalid"; problems: readonly Problem[] };

/**
 * Says what an apply would do, and changes nothing; of one moment, and without waiting for an apply. Throws RIGHT_MISSING
 * when it would change what the caller may not.
 */
export async function planManifest(
  { database, ports, checkRules }: ManifestParts,
  { manifest, caller, context }: ManifestCall,
  prune: boolean,
): Promise<PlanResult> {
  const document = readManifestDocument(manifest);
  return inSnapshot(database, async (tx) => {
    const options = applyOptions(ports, { context, caller, prune });
    const takes = takenBy(options);
    const compiled = await compileForCaller(tx, ports, checkRules, { document, manifest, caller, takes });
    if (compiled.kind === "invalid") return compiled;
    return makePlan(tx, ports, compiled.wanted, options);
  });
}

/** The plan of a compiled manifest, in a transaction. Throws RIGHT_MISSING. */
export async function makePlan(
  tx: Queryable,
  ports: ManifestPorts,
  wanted: CompiledManifest,
  options: ApplyOptions,
): Promise<Extract<PlanResult, { kind: "planned" }>> {
  const changes = await carryOut(tx, ports, wanted, { ...options, dryRun: true });
  checkRefused(changes);
  return { kind: "planned", changes, token: planToken(options.prune, changes, wanted) };
}

/** Has the domains do, or with dryRun say, what is wanted: in the order of a plan, deletions last. */
export async function carryOut(
  tx: Queryable,
  ports: ManifestPorts,
  { defaults, providers, agents, skills, mcpServers }: CompiledManifest,
  options: ApplyOptions,
): Promise<PlannedChange[]> {
  const fleet = await ports.applyFleet(tx, { defaults, providers, agents }, options);
  const catalog = await ports.applyCatalog(tx, { mcpServers, skills }, options);
  return planOrder([
    ["defaults", fleet.defaults],
    ["provider", fleet.providers],
    ["agent", fleet.agents],
    ["skill", catalog.skills],
    ["mcp-server", catalog.mcpServers],
  ]);
}

/** Throws RIGHT_MISSING with the names of all that was refused. */
export function checkRefused(changes: readonly PlannedChange[]): void {
  const names = changes
    .filter(({ change }) => change.action === "refused")
    .map(({ resourceType, change }) => (resourceType === "defaults" ? "defaults" : `${resourceType} "${change.id}"`));
  if (names.length === 0) return;
  // Names only what stands in the manifest, or what the caller sees: with prune, what it may not delete.
  const shown = names.slice(0, MAX_NAMES).join(", ");
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "";
  throw permissionDenied("RIGHT_MISSING", `the manifest would change what you may not change: ${shown}${more}`, {
    hint: "Leave them out, or choose other names, or ask an admin. Nothing was changed.",
    fields: { resources: shown },
  });
}

/** How the domains apply what the caller of a call wants. Without `record` nothing is written. */
export function applyOptions(
  ports: ManifestPorts,
  call: { context: HandlerContext; caller: Caller; prune: boolean; record?: RecordChanges },
): ApplyOptions {
  const { context, caller, prune, record } = call;
  return {
    dryRun: record === undefined,
    prune,
    caller,
    record: record ?? (async () => {}),
    mayWrite: (resource, id) => ports.may(context, resource, "write", id),
  };
}

/** What an apply takes away without naming it, so that the manifest can't refer to it. */
export interface Taken {
  /** The agents in reach that the manifest does not name. */
  agents: boolean;
  /** The stored defaults. */
  defaults: boolean;
}

/** Of a comparison. */
export const NOTHING: Taken = { agents: false, defaults: false };

/** Defaults concern every agent: a prune of somebody who may not change them leaves them. */
export function takenBy({ prune, caller, mayWrite }: ApplyOptions): Taken {
  return { agents: prune, defaults: prune && reachOf(caller).all && mayWrite("agents", "*") };
}

/** Compiles a manifest for a caller, with what exists as the transaction sees it. */
export async function compileForCaller(
  tx: Queryable,
  ports: ManifestPorts,
  checkRules: CheckRules,
  {
    document,
    manifest,
    caller,
    takes,
  }: { document: ManifestDocument; manifest: Manifest; caller: Caller; takes: Taken },
): Promise<CompileResult> {
  return compileManifest(document, manifest, await knownNames(tx, ports, caller, takes), checkRules);
}

/** What the manifest may refer to. An agent out of reach is told in the words of one that never was. */
async function knownNames(tx: Queryable, ports: ManifestPorts, caller: Caller, takes: Taken): Promise<KnownNames> {
  const reach = reachOf(caller);
  const teams = await ports.agentTeams(tx);
  const defaults = await ports.storedDefaults(tx);
  const mayOwnFor = (teamId: string): boolean => caller.kind === "principal" && caller.mayOwnFor(teamId);
  return {
    providerNames: await ports.providerNames(tx),
    agentIds: takes.agents ? [] : [...teams].filter(([id, team]) => reach.has(id, team)).map(([id]) => id),
    defaultModel: takes.defaults ? "" : (defaults?.model ?? ""),
    // Who may not own for a team is not told whether it exists.
    isTeam: (teamId) => !mayOwnFor(teamId) || ports.isTeam(teamId),
  };
}
