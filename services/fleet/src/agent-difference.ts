import { toJson, type JsonValue } from "@bufbuild/protobuf";
import {
  AgentSpecSchema,
  DesiredState,
  Launcher,
  ProviderKindSchema,
  type Provider,
} from "@openhermit/protocol/fleet/v1/agent";
import type { DesiredAgent } from "./agent.ts";
import type { ResourceChange } from "./fleet-ports.ts";

type Leaves = Map<string, string>;

/** What changed between two agents, by the keys of a manifest; undefined for one that is not yet or no more. */
export function agentDifferences(
  before: DesiredAgent | undefined,
  after: DesiredAgent | undefined,
): ResourceChange["fields"] {
  return compare(agentLeaves(before), agentLeaves(after));
}

/** What changed between two providers, by the keys of a manifest; undefined for one that is not yet. */
export function providerDifferences(before: Provider | undefined, after: Provider): ResourceChange["fields"] {
  return compare(before === undefined ? new Map() : providerLeaves(before), providerLeaves(after));
}

function agentLeaves(agent: DesiredAgent | undefined): Leaves {
  const leaves: Leaves = new Map();
  if (agent === undefined) return leaves;
  flatten(leaves, "", {
    displayName: agent.displayName,
    team: agent.team,
    labels: { ...agent.labels },
    desiredState: agent.desiredState === DesiredState.STOPPED ? "stopped" : "running",
    ...(toJson(AgentSpecSchema, agent.spec) as Record<string, JsonValue>),
    launcher: agent.spec.launcher === Launcher.EXTERNAL ? "external" : "process",
  });
  return leaves;
}

function providerLeaves(provider: Provider): Leaves {
  const kind = ProviderKindSchema.value[provider.kind]?.name ?? "";
  return new Map([
    ["kind", kind.replace("PROVIDER_KIND_", "").toLowerCase().replaceAll("_", "-")],
    ["baseUrl", provider.baseUrl],
    ["apiKeyEnv", provider.apiKeyEnv],
  ]);
}

function flatten(into: Leaves, prefix: string, value: Record<string, JsonValue>): void {
  for (const [key, one] of Object.entries(value)) {
    if (typeof one === "object" && one !== null && !Array.isArray(one)) flatten(into, `${prefix}${key}.`, one);
    else into.set(prefix + key, typeof one === "string" ? one : JSON.stringify(one));
  }
}

function compare(before: Leaves, after: Leaves): ResourceChange["fields"] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((path) => ({ path, before: before.get(path) ?? "", after: after.get(path) ?? "" }))
    .filter((field) => field.before !== field.after);
}
