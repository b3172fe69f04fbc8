import { equals } from "@bufbuild/protobuf";
import type { Change } from "@openhermit/caller";
import { ProviderSchema, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import { providerDifferences } from "../agent-difference.ts";
import { providerChange } from "../change-provider.ts";
import type { ApplyOptions, ResourceChange } from "../fleet-ports.ts";
import { desiredProvider, type Builtins } from "../provider.ts";
import type { StoredProvider } from "../provider-store.ts";
import { resourceChange } from "./resource-change.ts";

/** What is to be done to the providers. */
export interface ProvidersPlan {
  readonly changes: ResourceChange[];
  readonly writes: Provider[];
  readonly removals: string[];
  readonly records: Change[];
  /** The names of all providers as they will be, the built-in ones too. */
  readonly names: ReadonlySet<string>;
}

/** Works out what is to be done to the providers. One that is so already needs no right. */
export function planProviders(
  stored: ReadonlyMap<string, StoredProvider>,
  wanted: readonly Provider[],
  builtins: Builtins,
  { prune, mayWrite }: ApplyOptions,
): ProvidersPlan {
  const changes: ResourceChange[] = [];
  const writes: Provider[] = [];
  const records: Change[] = [];
  const names = new Set([...builtins.keys(), ...stored.keys()]);
  for (const message of wanted) {
    const provider = desiredProvider(message);
    const { name } = provider;
    const row = stored.get(name);
    const before = row?.provider ?? builtins.get(name);
    if (before !== undefined && equals(ProviderSchema, { ...before, builtin: false }, provider)) {
      changes.push(resourceChange(name, "none", [], row?.revision));
    } else if (!mayWrite("providers", name)) {
      changes.push(resourceChange(name, "refused"));
    } else {
      const action = before === undefined ? "create" : "update";
      changes.push(resourceChange(name, action, providerDifferences(before, provider), row?.revision));
      writes.push(provider);
      records.push(providerChange(before, provider));
      names.add(name);
    }
  }
  const removals = prune ? prunable(stored, wanted).filter(({ provider }) => mayWrite("providers", provider.name)) : [];
  for (const { provider, revision } of removals) {
    changes.push(resourceChange(provider.name, "delete", providerDifferences(provider, undefined), revision));
    records.push(providerChange(provider, undefined));
    if (!builtins.has(provider.name)) names.delete(provider.name);
  }
  return { changes, writes, removals: removals.map(({ provider }) => provider.name), records, names };
}

function prunable(stored: ReadonlyMap<string, StoredProvider>, wanted: readonly Provider[]): StoredProvider[] {
  const named = new Set(wanted.map(({ name }) => name));
  return [...stored.values()].filter(({ provider, custom }) => custom && !named.has(provider.name));
}
