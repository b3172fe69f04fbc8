import type { Change } from "@openhermit/caller";
import type { Database } from "@openhermit/postgres";
import type { Provider } from "@openhermit/protocol/fleet/v1/agent";
import { providerDifferences } from "./agent-difference.ts";
import type { ChangeAuthor } from "./agent-owner.ts";
import { announceChanges } from "./announcement-store.ts";
import { holdDefaults, lockDefaults, readDependents } from "./defaults-store.ts";
import { providerOf } from "./effective-spec.ts";
import { providerUnknown, type Builtins } from "./provider.ts";
import { lockProvider, removeProviders, writeProviders } from "./provider-store.ts";
import { checkUnused } from "./check-unused.ts";

/** The record of a change of a provider; of one that is removed `after` is undefined. */
export function providerChange(before: Provider | undefined, after: Provider | undefined): Change {
  const action = after === undefined ? "providers.delete" : "providers.put";
  const targetId = after?.name ?? before?.name ?? "";
  return { action, targetType: "provider", targetId, fields: providerDifferences(before, after) };
}

/** Creates or replaces a provider; false when it was so already. */
export async function putProvider(
  database: Database,
  provider: Provider,
  builtins: Builtins,
  author: ChangeAuthor,
): Promise<boolean> {
  return await database.transaction(async (tx) => {
    await holdDefaults(tx);
    const before = (await lockProvider(tx, provider.name))?.provider ?? builtins.get(provider.name);
    if (!(await writeProviders(tx, [provider]))) return false;
    await author.record(tx, [providerChange(before, provider)]);
    await announceChanges(tx, [{ kind: "providers" }]);
    return true;
  });
}

/**
 * Removes a provider that somebody put; a built-in one of the name is as it was from the start again. Throws not_found for one
 * that nobody put, and failed_precondition while something uses it and none is built in.
 */
export async function deleteProvider(
  database: Database,
  name: string,
  builtins: Builtins,
  author: ChangeAuthor,
): Promise<void> {
  await database.transaction(async (tx) => {
    const { spec: defaults } = await lockDefaults(tx);
    const stored = await lockProvider(tx, name);
    if (stored?.custom !== true) throw providerUnknown(name, builtins);
    const builtin = builtins.get(name);
    if (builtin === undefined) {
      const dependents = await readDependents(tx, { providers: [name], withoutModel: false, except: [] });
      checkUnused(name, { byDefaults: providerOf(defaults) === name, agents: dependents, caller: author.caller });
    }
    await removeProviders(tx, [name], builtin === undefined ? [] : [builtin]);
    await author.record(tx, [providerChange(stored.provider, undefined)]);
    await announceChanges(tx, [{ kind: "providers" }]);
  });
}
