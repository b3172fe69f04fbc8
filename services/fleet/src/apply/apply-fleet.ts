import type { Change } from "@openhermit/caller";
import { conflict } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { takeRetired } from "../agent-directory-store.ts";
import type { ChangeAuthor } from "../agent-owner.ts";
import { deleteAgents, insertAgents, updateAgents } from "../agent-store.ts";
import { announceChanges } from "../announcement-store.ts";
import { defaultsChange } from "../change-defaults.ts";
import { lockDefaults, readDefaults, writeDefaults } from "../defaults-store.ts";
import type { FleetChange } from "../fleet-channel.ts";
import type { ApplyOptions, FleetChanges, FleetPorts, WantedFleet } from "../fleet-ports.ts";
import type { Builtins } from "../provider.ts";
import { readProviders, removeProviders, writeProviders } from "../provider-store.ts";
import { checkReferences } from "./check-references.ts";
import { planAgents, type AgentsPlan } from "./plan-agents.ts";
import { planDefaults, type DefaultsPlan } from "./plan-defaults.ts";
import { planProviders, type ProvidersPlan } from "./plan-providers.ts";

/** What an apply works with. */
export interface ApplyParts {
  readonly builtins: Builtins;
  readonly isTeam: ChangeAuthor["isTeam"];
  readonly forgetAgents: FleetPorts["forgetAgents"];
}

interface FleetPlan {
  readonly defaults: DefaultsPlan;
  readonly providers: ProvidersPlan;
  readonly agents: AgentsPlan;
}

/**
 * Makes the fleet what a manifest says, within its transaction: first works out what is to be done, then writes it, each with
 * a number of statements that does not depend on how much it is. Its errors stand at the port, in fleet-ports.ts.
 */
export async function applyFleet(
  tx: Queryable,
  wanted: WantedFleet,
  options: ApplyOptions,
  parts: ApplyParts,
): Promise<FleetChanges> {
  const { dryRun } = options;
  // Before anything else, so that from here on nobody writes the spec of an agent: see defaults-store.ts.
  const defaults = planDefaults(await (dryRun ? readDefaults : lockDefaults)(tx), wanted.defaults, options);
  const providers = planProviders(await readProviders(tx), wanted.providers, parts.builtins, options);
  const agents = await planAgents(tx, wanted.agents, options, parts.isTeam);
  const plan = { defaults, providers, agents };
  const changes = { defaults: defaults.changes, providers: providers.changes, agents: agents.changes };
  const isRefused = Object.values(changes).some((list) => list.some(({ action }) => action === "refused"));
  // The caller of the port rolls back, and what would be missing may be what was refused.
  if (isRefused || options.compareOnly === true) return changes;
  await checkReferences(tx, plan, options.caller);
  if (!dryRun) await carryOut(tx, plan, options, parts);
  return changes;
}

async function carryOut(
  tx: Queryable,
  { defaults, providers, agents }: FleetPlan,
  { record }: ApplyOptions,
  { builtins, forgetAgents }: ApplyParts,
): Promise<void> {
  const records: Change[] = [];
  const news: FleetChange[] = [];
  if (defaults.changes.some(({ action }) => action !== "none")) {
    await writeDefaults(tx, defaults.after);
    records.push(defaultsChange(defaults.before, defaults.after));
    news.push({ kind: "defaults" });
  }
  if (providers.writes.length > 0) await writeProviders(tx, providers.writes);
  if (providers.removals.length > 0) {
    const restored = providers.removals.flatMap((name) => builtins.get(name) ?? []);
    await removeProviders(tx, providers.removals, restored);
  }
  if (providers.records.length > 0) news.push({ kind: "providers" });
  if (agents.inserts.length > 0) await addAgents(tx, agents);
  if (agents.updates.length > 0) await updateAgents(tx, agents.updates);
  if (agents.deletions.length > 0) {
    await deleteAgents(tx, agents.deletions);
    await forgetAgents(tx, agents.deletions);
  }
  news.push(
    ...agents.inserts.map(({ id }): FleetChange => ({ kind: "agent", agentId: id })),
    ...agents.updates.map(({ agent, newSnapshot }): FleetChange => ({
      kind: newSnapshot ? "agent" : "run",
      agentId: agent.id,
    })),
    ...agents.deletions.map((agentId): FleetChange => ({ kind: "agent", agentId })),
  );
  records.push(...providers.records, ...agents.records);
  if (records.length > 0) await record(tx, records);
  await announceChanges(tx, news);
}

async function addAgents(tx: Queryable, { inserts }: AgentsPlan): Promise<void> {
  const ids = inserts.map(({ id }) => id);
  const added = new Set(await insertAgents(tx, inserts));
  const taken = ids.find((id) => !added.has(id));
  if (taken !== undefined) {
    throw conflict("AGENT_CHANGED", `agent "${taken}" was created by somebody else in between`, {
      hint: "Nothing was changed. Apply again.",
      fields: { agent_id: taken },
    });
  }
  await takeRetired(tx, ids);
}
