import { equals } from "@bufbuild/protobuf";
import { conflict, failedPrecondition, invalidArgument, permissionDenied, type MeshError } from "@openhermit/errors";
import { AgentSpecSchema, type AgentSpec } from "@openhermit/protocol/fleet/v1/agent";
import { etagOf } from "./agent.ts";
import { MODEL, normalSpec } from "./effective-spec.ts";

/** What stands for the defaults where an id is asked for. */
export const DEFAULTS_ID = "defaults";

/** The most agents that an error names. */
export const MAX_NAMES = 5;

/** What agents take that they do not set themselves, as stored. */
export interface StoredDefaults {
  readonly spec: AgentSpec;
  readonly version: bigint;
  /** Undefined when nobody ever changed them. */
  readonly updateTime: Date | undefined;
}

/** Reads what a caller wants. Throws invalid_argument for a model of another form than provider/model. */
export function desiredDefaults(spec: AgentSpec | undefined): AgentSpec {
  const wanted = normalSpec(spec);
  if (wanted.model === "" || MODEL.test(wanted.model)) return wanted;
  throw invalidArgument("AGENT_MODEL_INVALID", "the model of the defaults is not of the form provider/model", {
    hint: "Write it like offline/echo, or leave it out.",
    fields: { defaults: DEFAULTS_ID },
  });
}

/** Whether two defaults are the same. */
export function sameDefaults(a: AgentSpec, b: AgentSpec): boolean {
  return equals(AgentSpecSchema, a, b);
}

/** Throws conflict when an etag is given and the defaults have another. */
export function checkDefaultsEtag({ version }: StoredDefaults, etag: string): void {
  if (etag === "" || etagOf(version) === etag) return;
  throw conflict("DEFAULTS_CHANGED", "the defaults of the fleet were changed by somebody else in between", {
    hint: "Read them again, then repeat the change.",
  });
}

/** The error for a caller who does not reach every agent there is and may come. */
export function defaultsRefused(): MeshError {
  return permissionDenied("RIGHT_MISSING", "changing the defaults of the fleet needs the right to change every agent", {
    hint: "Ask an admin, or set the values on your own agents.",
    fields: { right: "agents:write" },
  });
}

/** The error for defaults without a model, while these agents have none of their own. Names the first of them. */
export function defaultsNeeded(agentIds: readonly string[]): MeshError {
  const names = nameSome(agentIds);
  return failedPrecondition(
    "DEFAULTS_NEEDED",
    `the model of the defaults is needed: without it ${names} would have none`,
    {
      hint: "Keep a model in the defaults, or set one on these agents first.",
      fields: { agent_ids: agentIds.slice(0, MAX_NAMES).join() },
    },
  );
}

/** Some agents in a sentence: the first few by name. */
export function nameSome(agentIds: readonly string[]): string {
  const shown = agentIds.slice(0, MAX_NAMES).map((id) => `"${id}"`);
  const more = agentIds.length - shown.length;
  return `${agentIds.length === 1 ? "agent" : "the agents"} ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
