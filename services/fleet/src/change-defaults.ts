import { reachOf, type Change } from "@openhermit/caller";
import type { Database, Queryable } from "@openhermit/postgres";
import type { AgentSpec, Defaults } from "@openhermit/protocol/fleet/v1/agent";
import { defaultsDifferences } from "./agent-difference.ts";
import type { ChangeAuthor } from "./agent-owner.ts";
import { announceChanges } from "./announcement-store.ts";
import {
  checkDefaultsEtag,
  DEFAULTS_ID,
  defaultsNeeded,
  defaultsRefused,
  desiredDefaults,
  sameDefaults,
} from "./defaults.ts";
import { lockDefaults, readDependents, writeDefaults } from "./defaults-store.ts";
import { providerOf } from "./effective-spec.ts";
import { providerNotFound, type Builtins } from "./provider.ts";
import { readProviders } from "./provider-store.ts";

/** The record of a change of the defaults. */
export function defaultsChange(before: AgentSpec, after: AgentSpec): Change {
  const fields = defaultsDifferences(before, after);
  return { action: "defaults.put", targetType: "defaults", targetId: DEFAULTS_ID, fields };
}

/** Replaces the defaults; false when they were so already, which needs no right. */
export async function putDefaults(
  database: Database,
  message: Defaults,
  builtins: Builtins,
  author: ChangeAuthor,
): Promise<boolean> {
  const next = desiredDefaults(message.spec);
  return await database.transaction(async (tx) => {
    const current = await lockDefaults(tx);
    checkDefaultsEtag(current, message.etag);
    if (sameDefaults(current.spec, next)) return false;
    if (!reachOf(author.caller).all) throw defaultsRefused();
    await checkSufficient(tx, next, builtins);
    await writeDefaults(tx, next);
    await author.record(tx, [defaultsChange(current.spec, next)]);
    await announceChanges(tx, [{ kind: "defaults" }]);
    return true;
  });
}

async function checkSufficient(tx: Queryable, next: AgentSpec, builtins: Builtins): Promise<void> {
  const provider = providerOf(next);
  if (next.model === "") {
    const orphans = await readDependents(tx, { providers: [], withoutModel: true, except: [] });
    if (orphans.length > 0) throw defaultsNeeded(orphans.map(({ id }) => id));
  } else if (!builtins.has(provider) && !(await readProviders(tx)).has(provider)) {
    throw providerNotFound(provider);
  }
}
