import type { FieldChange } from "@openhermit/caller";
import { DesiredState, ProviderKindSchema, type AgentSpec, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import type { DesiredAgent } from "./agent.ts";
import { specLeaves } from "./effective-spec.ts";

type Leaves = ReadonlyMap<string, string>;

const NOTHING: Leaves = new Map();

/** What changed between two agents, by the keys of a manifest; undefined for one that is not yet or no more. */
export function agentDifferences(before: DesiredAgent | undefined, after: DesiredAgent | undefined): FieldChange[] {
  return compare(before && agentLeaves(before), after && agentLeaves(after));
}

/** What changed between two providers, by the keys of a manifest; undefined for one that is not yet or no more. */
export function providerDifferences(before: Provider | undefined, after: Provider | undefined): FieldChange[] {
  return compare(before && providerLeaves(before), after && providerLeaves(after));
}

/** What changed between two defaults, by the keys of a manifest. */
export function defaultsDifferences(before: AgentSpec, after: AgentSpec): FieldChange[] {
  return compare(specLeaves(before), specLeaves(after));
}

/** What an agent sets itself, by the keys of a manifest, without its spec. */
export function identityLeaves({ displayName, team, labels, desiredState }: DesiredAgent): Leaves {
  return new Map([
    ["displayName", displayName],
    ["team", team],
    ...Object.entries(labels).map(([key, value]): [string, string] => [`labels.${key}`, value]),
    ["desiredState", desiredState === DesiredState.STOPPED ? "stopped" : "running"],
  ]);
}

function agentLeaves(agent: DesiredAgent): Leaves {
  return new Map([...identityLeaves(agent), ...specLeaves(agent.spec)]);
}

function providerLeaves(provider: Provider): Leaves {
  const kind = ProviderKindSchema.value[provider.kind]?.name ?? "";
  return new Map([
    ["kind", kind.replace("PROVIDER_KIND_", "").toLowerCase().replaceAll("_", "-")],
    ["baseUrl", provider.baseUrl],
    ["apiKeyEnv", provider.apiKeyEnv],
  ]);
}

function compare(before: Leaves = NOTHING, after: Leaves = NOTHING): FieldChange[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((path) => ({ path, before: before.get(path) ?? "", after: after.get(path) ?? "" }))
    .filter((field) => field.before !== field.after);
}
