import { agentNotFound, type Change } from "@openhermit/caller";
import { invalidArgument, type MeshError } from "@openhermit/errors";
import type { Database, Queryable } from "@openhermit/postgres";
import { DesiredState, type Agent, type AgentSpec, type Launcher } from "@openhermit/protocol/fleet/v1/agent";
import type { FieldMask } from "@bufbuild/protobuf/wkt";
import {
  agentExists,
  checkEtag,
  checkModel,
  checkRestartable,
  desiredAgent,
  digestOf,
  etagOf,
  sameAgent,
  sameSnapshot,
  type DesiredAgent,
  type StoredAgent,
} from "./agent.ts";
import { agentDifferences } from "./agent-difference.ts";
import { takeRetired } from "./agent-directory-store.ts";
import {
  checkReach,
  creationProblem,
  moveProblem,
  ownerProblem,
  reaches,
  type ChangeAuthor,
  type OwnedAgent,
} from "./agent-owner.ts";
import { deleteAgents, findCollisions, insertAgents, lockAgents, requestRestart, updateAgents } from "./agent-store.ts";
import { announceChanges } from "./announcement-store.ts";
import { holdDefaults, readDefaults } from "./defaults-store.ts";
import { effectiveSpec, providerOf } from "./effective-spec.ts";
import { providerNotFound, type Builtins } from "./provider.ts";
import { readProviders } from "./provider-store.ts";
import { updatedAgent } from "./updated-agent.ts";

/** Throws invalid_argument when the agent has no model in the end, and not_found when its provider does not exist. */
async function checkRunnable(
  tx: Queryable,
  agent: DesiredAgent,
  defaults: AgentSpec,
  builtins: Builtins,
): Promise<void> {
  checkModel(agent, defaults);
  const name = providerOf(effectiveSpec(agent.spec, defaults));
  if (builtins.has(name) || (await readProviders(tx)).has(name)) return;
  throw providerNotFound(name, agent.id);
}

/** The record of a change of an agent. */
export function agentChange(
  verb: "create" | "update" | "delete" | "start" | "stop" | "restart",
  before: DesiredAgent | undefined,
  after: DesiredAgent | undefined,
): Change {
  const targetId = after?.id ?? before?.id ?? "";
  return { action: `agents.${verb}`, targetType: "agent", targetId, fields: agentDifferences(before, after) };
}

/** Adds an agent, or finds the one that the same request made before. */
export async function addAgent(
  database: Database,
  message: Agent,
  requestId: string,
  builtins: Builtins,
  author: ChangeAuthor,
): Promise<{ id: string; created: boolean }> {
  const agent = desiredAgent(message);
  const request = { id: requestId, digest: digestOf(agent) };
  const { id } = agent;
  const problem = creationProblem(author, agent);
  if (problem !== undefined) throw problem;
  return await database.transaction(async (tx) => {
    const defaults = await holdDefaults(tx);
    await checkRunnable(tx, agent, defaults.spec, builtins);
    if ((await insertAgents(tx, [agent], request)).length > 0) {
      const team = (await takeRetired(tx, [id])).get(id);
      const refused = team === undefined ? undefined : inheritProblem(author, { id, team });
      if (refused !== undefined) throw refused;
      await author.record(tx, [agentChange("create", undefined, agent)]);
      await announceChanges(tx, [{ kind: "agent", agentId: id }]);
      return { id, created: true };
    }
    const met = await findCollisions(tx, id, requestId);
    const sameRequest = requestId === "" ? undefined : met.find((one) => one.requestId === requestId);
    if (sameRequest === undefined) throw agentExists(id);
    const isSeen = reaches(author.caller, sameRequest);
    if (sameRequest.id === id) {
      if (!isSeen) throw agentExists(id);
      if (sameRequest.requestDigest === request.digest) return { id, created: false };
    }
    const what = isSeen ? `agent "${sameRequest.id}"` : "another agent";
    throw invalidArgument("REQUEST_ID_REUSED", `the request id was used before to create ${what}`, {
      hint: "Use a new request id for another agent.",
      fields: { agent_id: id },
    });
  });
}

/**
 * Why the caller may not make an agent of the id of a deleted one, and so get what that one left behind; undefined if
 * it may. Who does not reach the deleted agent is told what is told of any id in use.
 */
export function inheritProblem(author: ChangeAuthor, retired: OwnedAgent): MeshError | undefined {
  if (!reaches(author.caller, retired)) return agentExists(retired.id);
  return ownerProblem(author, retired.id, [retired.team, ""]);
}

/** Changes the fields named in the mask; false when nothing changes. */
export async function changeAgent(
  database: Database,
  request: Agent,
  mask: FieldMask | undefined,
  builtins: Builtins,
  author: ChangeAuthor,
): Promise<boolean> {
  return await database.transaction(async (tx) => {
    const { spec: defaults } = await holdDefaults(tx);
    const current = await lockAgent(tx, request.id, author);
    checkEtag(current, request.etag);
    const next = updatedAgent(current, request, mask);
    if (sameAgent(current, next)) return false;
    const problem = moveProblem(author, current, next);
    if (problem !== undefined) throw problem;
    if (next.spec.model !== current.spec.model) await checkRunnable(tx, next, defaults, builtins);
    await writeAgent(tx, current, next);
    await author.record(tx, [agentChange("update", current, next)]);
    return true;
  });
}

/** Stores what is wanted now and announces it. */
async function writeAgent(tx: Queryable, current: DesiredAgent, next: DesiredAgent): Promise<void> {
  const newSnapshot = !sameSnapshot(current, next);
  await updateAgents(tx, [{ agent: next, newSnapshot }]);
  await announceChanges(tx, [{ kind: newSnapshot ? "agent" : "run", agentId: next.id }]);
}

/** Sets the desired state; false when it is so already. Starting also ends the pause after a crash. */
export async function setDesiredState(
  database: Database,
  id: string,
  desiredState: DesiredAgent["desiredState"],
  author: ChangeAuthor,
): Promise<boolean> {
  return await database.transaction(async (tx) => {
    const current = await lockAgent(tx, id, author);
    const next = { ...current, desiredState };
    const changes = current.desiredState !== desiredState;
    if (changes) {
      await writeAgent(tx, current, next);
      const verb = desiredState === DesiredState.RUNNING ? "start" : "stop";
      await author.record(tx, [agentChange(verb, current, next)]);
    }
    if (desiredState === DesiredState.RUNNING) await announceChanges(tx, [{ kind: "start", agentId: id }]);
    return changes;
  });
}

/** Asks the supervisor for a new sidecar. */
export async function restartAgent(database: Database, id: string, author: ChangeAuthor): Promise<void> {
  await database.transaction(async (tx) => {
    const current = await lockAgent(tx, id, author);
    const { spec: defaults } = await readDefaults(tx);
    checkRestartable(current, effectiveSpec(current.spec, defaults).launcher);
    await requestRestart(tx, id);
    await author.record(tx, [agentChange("restart", current, current)]);
    await announceChanges(tx, [
      { kind: "run", agentId: id },
      { kind: "start", agentId: id },
    ]);
  });
}

/** The first half of a delete: the agent should stop. Returns the etag it has then and who started it. Recorded with the second half. */
export async function stopForDelete(
  database: Database,
  id: string,
  etag: string,
  author: ChangeAuthor,
): Promise<{ etag: string; launcher: Launcher }> {
  return await database.transaction(async (tx) => {
    const current = await lockAgent(tx, id, author);
    checkEtag(current, etag);
    if (current.desiredState !== DesiredState.STOPPED) {
      await writeAgent(tx, current, { ...current, desiredState: DesiredState.STOPPED });
    }
    const agent = await lockAgent(tx, id, author);
    const { spec: defaults } = await readDefaults(tx);
    return { etag: etagOf(agent.version), launcher: effectiveSpec(agent.spec, defaults).launcher };
  });
}

/** The second half: forgets the agent and what is kept only for it, unless somebody has changed it meanwhile. */
export async function finishDelete(
  database: Database,
  id: string,
  etag: string,
  author: ChangeAuthor,
  forget: (tx: Queryable, agentIds: readonly string[]) => Promise<void>,
): Promise<void> {
  await database.transaction(async (tx) => {
    const current = (await lockAgents(tx, [id])).get(id);
    // Another delete of the same agent was faster.
    if (current === undefined) return;
    checkReach(author.caller, current);
    checkEtag(current, etag);
    await deleteAgents(tx, [id]);
    await forget(tx, [id]);
    await author.record(tx, [agentChange("delete", current, undefined)]);
    await announceChanges(tx, [{ kind: "agent", agentId: id }]);
  });
}

/** Locks an agent in reach. What the gateway knows of its team may be older than the row: another gateway may have moved it. */
async function lockAgent(tx: Queryable, id: string, { caller }: ChangeAuthor): Promise<StoredAgent> {
  const agent = (await lockAgents(tx, [id])).get(id);
  if (agent === undefined) throw agentNotFound(id);
  checkReach(caller, agent);
  return agent;
}
