import type { Caller } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { checkModel } from "../agent.ts";
import { checkUnused } from "../check-unused.ts";
import { defaultsNeeded } from "../defaults.ts";
import { readDependents } from "../defaults-store.ts";
import { effectiveSpec, providerOf } from "../effective-spec.ts";
import { providerNotFound } from "../provider.ts";
import type { AgentsPlan } from "./plan-agents.ts";
import type { DefaultsPlan } from "./plan-defaults.ts";
import type { ProvidersPlan } from "./plan-providers.ts";

/**
 * Checks that every agent will have a model, and every model a provider, when the plan is carried out: the agents and providers of a
 * plan may need each other, so it looks at all as they will be. At most one statement.
 */
export async function checkReferences(
  tx: Queryable,
  plan: { defaults: DefaultsPlan; providers: ProvidersPlan; agents: AgentsPlan },
  caller: Caller,
): Promise<void> {
  const { before, after } = plan.defaults;
  const { names, removals } = plan.providers;
  const gone = removals.filter((name) => !names.has(name));
  const { wanted, deletions } = plan.agents;

  const losesModel = before.model !== "" && after.model === "";
  if (losesModel || gone.length > 0) {
    const except = [...wanted.map(({ id }) => id), ...deletions];
    const dependents = await readDependents(tx, { providers: gone, withoutModel: losesModel, except });
    const orphans = losesModel ? dependents.filter(({ provider }) => provider === "") : [];
    if (orphans.length > 0) throw defaultsNeeded(orphans.map(({ id }) => id));
    const users = [...wanted.map((agent) => ({ ...agent, provider: providerOf(agent.spec) })), ...dependents];
    for (const name of gone) {
      const agents = users.filter(({ provider }) => provider === name);
      checkUnused(name, { byDefaults: providerOf(after) === name, agents, caller });
    }
  }

  if (after.model !== "" && after !== before && !names.has(providerOf(after)))
    throw providerNotFound(providerOf(after));
  for (const agent of wanted) {
    checkModel(agent, after);
    const name = providerOf(effectiveSpec(agent.spec, after));
    if (!names.has(name)) throw providerNotFound(name, agent.id);
  }
}
