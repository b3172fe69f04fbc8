import { equals } from "@bufbuild/protobuf";
import type { Change, RecordChanges } from "@openhermit/caller";
import { conflict } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import { DesiredState, ProviderSchema, type Agent, type Provider } from "@openhermit/protocol/fleet/v1/agent";
import { agentDifferences, providerDifferences } from "./agent-difference.ts";
import { desiredAgent, sameAgent, type DesiredAgent, type StoredAgent } from "./agent.ts";
import { creationProblem, moveProblem, reaches, type ChangeAuthor } from "./agent-owner.ts";
import { insertAgent, lockAgents, readAgents, readRetired, takeRetired, tryLockApply } from "./agent-store.ts";
import {
  agentChange,
  announceChanges,
  checkProviders,
  inheritProblem,
  providerChange,
  writeAgent,
} from "./change-agent.ts";
import type { ResourceChange } from "./fleet-ports.ts";
import { desiredProvider, type Builtins } from "./provider.ts";
import { readProviders, writeProvider } from "./provider-store.ts";

/**
 * Makes the named providers what a manifest says, within its transaction. Of two applies at once one gets a conflict.
 * A provider that is so already needs no right.
 */
export async function applyProviders(
  tx: Queryable,
  messages: readonly Provider[],
  builtins: Builtins,
  { dryRun, mayWrite, record }: { dryRun: boolean; mayWrite(name: string): boolean; record: RecordChanges },
): Promise<ResourceChange[]> {
  if (messages.length === 0) return [];
  if (!dryRun) await lockApply(tx);
  const stored = new Map([...builtins, ...(await readProviders(tx))]);
  const changes: ResourceChange[] = [];
  const records: Change[] = [];
  for (const message of messages) {
    const provider = desiredProvider(message);
    const { name: id } = provider;
    const before = stored.get(id);
    if (before !== undefined && equals(ProviderSchema, { ...before, builtin: false }, provider)) {
      changes.push({ id, action: "none", fields: [] });
    } else if (!mayWrite(id)) {
      changes.push({ id, action: "refused", fields: [] });
    } else {
      if (!dryRun) await writeProvider(tx, provider);
      records.push(providerChange(before, provider));
      if (before === undefined) changes.push({ id, action: "create", fields: [] });
      else changes.push({ id, action: "update", fields: providerDifferences(before, provider) });
    }
  }
  if (!dryRun && records.length > 0) {
    await record(tx, records);
    await announceChanges(tx, [{ kind: "providers" }]);
  }
  return changes;
}

/**
 * Makes the named agents what a manifest says, within its transaction. DESIRED_STATE_UNSPECIFIED and an empty team
 * leave state and team of an existing agent as they are. Of two applies at once the first wins and the other gets a
 * conflict.
 */
export async function applyAgents(
  tx: Queryable,
  messages: readonly Agent[],
  builtins: Builtins,
  { dryRun, mayWrite, ...author }: ChangeAuthor & { dryRun: boolean; mayWrite(id: string): boolean },
): Promise<ResourceChange[]> {
  if (messages.length === 0) return [];
  if (!dryRun) await lockApply(tx);
  const ids = messages.map(({ id }) => id);
  const existing = await (dryRun ? readAgents(tx, ids) : lockAgents(tx, ids));
  const wanted = messages.map((message) => wantedAgent(message, existing.get(message.id)));
  // In a dry run the providers of the same manifest are not stored.
  if (!dryRun) await checkProviders(tx, wanted, builtins);

  const created: string[] = [];
  const records: Change[] = [];
  const changes: ResourceChange[] = [];
  for (const agent of wanted) {
    const { id } = agent;
    const before = existing.get(id);
    const needed = actionOn(before, agent, author);
    const action = needed === "none" || mayWrite(id) ? needed : "refused";
    changes.push({ id, action, fields: action === "update" ? agentDifferences(before, agent) : [] });
    if (action === "create") {
      if (!dryRun && !(await insertAgent(tx, agent, { id: "", digest: "" }))) throw createdMeanwhile(id);
      created.push(id);
      records.push(agentChange("create", undefined, agent));
    } else if (action === "update" && before !== undefined) {
      if (!dryRun) await writeAgent(tx, before, agent);
      records.push(agentChange("update", before, agent));
    }
  }
  const retired = await (dryRun ? readRetired : takeRetired)(tx, created);
  for (const change of changes) {
    const team = retired.get(change.id);
    if (team !== undefined && inheritProblem(author, { id: change.id, team }) !== undefined) change.action = "refused";
  }
  if (!dryRun && records.length > 0) {
    await author.record(tx, records);
    await announceChanges(
      tx,
      created.map((agentId) => ({ kind: "agent", agentId })),
    );
  }
  return changes;
}

function wantedAgent(message: Agent, existing: StoredAgent | undefined): DesiredAgent {
  const isOpen = message.desiredState === DesiredState.UNSPECIFIED;
  return desiredAgent({
    ...message,
    desiredState: isOpen ? (existing?.desiredState ?? DesiredState.RUNNING) : message.desiredState,
    team: message.team === "" ? (existing?.team ?? "") : message.team,
  });
}

/** What is to be done to an agent, as far as its row tells. */
function actionOn(
  before: StoredAgent | undefined,
  agent: DesiredAgent,
  author: ChangeAuthor,
): ResourceChange["action"] {
  if (before === undefined) return creationProblem(author, agent) === undefined ? "create" : "refused";
  if (!reaches(author.caller, before)) return "refused";
  if (sameAgent(before, agent)) return "none";
  return moveProblem(author, before, agent) === undefined ? "update" : "refused";
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
