import { equals } from "@bufbuild/protobuf";
import { conflict } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { DesiredState, ProviderSchema, type Agent, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import { agentDifferences, providerDifferences } from "./agent-difference.ts";
import { desiredAgent, sameAgent } from "./agent.ts";
import { insertAgent, lockAgents, readAgents, tryLockApply } from "./agent-store.ts";
import { announceChanges, checkProviders, writeAgent } from "./change-agent.ts";
import type { FleetChange } from "./fleet-channel.ts";
import type { ResourceChange } from "./fleet-ports.ts";
import { desiredProvider, type Builtins } from "./provider.ts";
import { readProviders, writeProvider } from "./provider-store.ts";

/** How a manifest is applied. */
interface ApplyOptions {
  /** Say what would change and change nothing. */
  dryRun: boolean;
}

/** Makes the named providers what a manifest says, within its transaction. Of two applies at once one gets a conflict. */
export async function applyProviders(
  tx: Queryable,
  messages: readonly Provider[],
  builtins: Builtins,
  { dryRun }: ApplyOptions,
): Promise<ResourceChange[]> {
  if (messages.length === 0) return [];
  if (!dryRun) await lockApply(tx);
  const stored = new Map([...builtins, ...(await readProviders(tx))]);
  const changes: ResourceChange[] = [];
  for (const message of messages) {
    const provider = desiredProvider(message);
    const before = stored.get(provider.name);
    if (!dryRun) await writeProvider(tx, provider);
    if (before === undefined) changes.push({ id: provider.name, action: "create", fields: [] });
    else {
      const isSame = equals(ProviderSchema, { ...before, builtin: false }, provider);
      const fields = isSame ? [] : providerDifferences(before, provider);
      changes.push({ id: provider.name, action: isSame ? "none" : "update", fields });
    }
  }
  if (!dryRun && changes.some(({ action }) => action !== "none")) await announceChanges(tx, [{ kind: "providers" }]);
  return changes;
}

/**
 * Makes the named agents what a manifest says, within its transaction. DESIRED_STATE_UNSPECIFIED leaves the state of
 * an existing agent as it is. Of two applies at once the first wins and the other gets a conflict.
 */
export async function applyAgents(
  tx: Queryable,
  messages: readonly Agent[],
  builtins: Builtins,
  { dryRun }: ApplyOptions,
): Promise<ResourceChange[]> {
  if (messages.length === 0) return [];
  if (!dryRun) await lockApply(tx);
  const ids = messages.map(({ id }) => id);
  const existing = await (dryRun ? readAgents(tx, ids) : lockAgents(tx, ids));
  const wanted = messages.map((message) => {
    const isOpen = message.desiredState === DesiredState.UNSPECIFIED;
    const kept = existing.get(message.id)?.desiredState ?? DesiredState.RUNNING;
    return desiredAgent({ ...message, desiredState: isOpen ? kept : message.desiredState });
  });
  // In a dry run the providers of the same manifest are not stored.
  if (!dryRun) await checkProviders(tx, wanted, builtins);
  const created: FleetChange[] = [];
  const changes: ResourceChange[] = [];
  for (const agent of wanted) {
    const { id } = agent;
    const before = existing.get(id);
    if (before === undefined) {
      if (!dryRun && !(await insertAgent(tx, agent, { id: "", digest: "" }))) throw createdMeanwhile(id);
      created.push({ kind: "agent", agentId: id });
      changes.push({ id, action: "create", fields: [] });
    } else if (sameAgent(before, agent)) {
      changes.push({ id, action: "none", fields: [] });
    } else {
      if (!dryRun) await writeAgent(tx, before, agent);
      changes.push({ id, action: "update", fields: agentDifferences(before, agent) });
    }
  }
  if (!dryRun) await announceChanges(tx, created);
  return changes;
}

async function lockApply(tx: Queryable): Promise<void> {
  if (await tryLockApply(tx)) return;
  throw conflict("APPLY_IN_PROGRESS", "another manifest is being applied", {
    hint: "Nothing was changed. See what it did with a dry run, then apply again.",
  });
}

function createdMeanwhile(id: string): Error {
  return conflict("AGENT_CHANGED", `agent "${id}" was created by somebody else in between`, {
    hint: "Nothing was changed. Apply again.",
    fields: { agent_id: id },
  });
}
