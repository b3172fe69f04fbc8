import { create } from "@bufbuild/protobuf";
import { reachOf } from "@openhermit/caller";
import { AgentSpecSchema, type AgentSpec, type Defaults } from "@openhermit/protocol/fleet/v1/agent";
import { defaultsDifferences } from "../agent-difference.ts";
import { DEFAULTS_ID, desiredDefaults, sameDefaults, type StoredDefaults } from "../defaults.ts";
import { isEmptySpec } from "../effective-spec.ts";
import type { ApplyOptions, ResourceChange } from "../fleet-ports.ts";
import { resourceChange } from "./resource-change.ts";

/** What is to be done to the defaults. */
export interface DefaultsPlan {
  readonly changes: ResourceChange[];
  readonly before: AgentSpec;
  /** The defaults as they will be. */
  readonly after: AgentSpec;
}

/**
 * Works out what is to be done to the defaults; `wanted` undefined: nothing is said of them, and they are cleared by a prune of
 * who may change them. They concern every agent, so changing them needs every agent in reach.
 */
export function planDefaults(
  { spec: before, version: stored }: StoredDefaults,
  wanted: Defaults | undefined,
  { prune, caller, mayWrite }: ApplyOptions,
): DefaultsPlan {
  const mayChange = reachOf(caller).all && mayWrite("agents", "*");
  const isSet = !isEmptySpec(before);
  if (wanted === undefined && !(prune && isSet && mayChange)) return { changes: [], before, after: before };
  const after = wanted === undefined ? create(AgentSpecSchema) : desiredDefaults(wanted.spec);
  const version = isSet ? stored : undefined;
  if (sameDefaults(before, after)) {
    return { changes: [resourceChange(DEFAULTS_ID, "none", [], version)], before, after };
  }
  if (!mayChange) return { changes: [resourceChange(DEFAULTS_ID, "refused")], before, after: before };
  const action = isSet ? (isEmptySpec(after) ? "delete" : "update") : "create";
  const change = resourceChange(DEFAULTS_ID, action, defaultsDifferences(before, after), version);
  return { changes: [change], before, after };
}
