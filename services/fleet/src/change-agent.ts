import { invalidArgument } from "@openhermit/errors";
import type { Database, Queryable } from "@openhermit/postgres";
import { DesiredState, type Agent } from "@openhermit/protocol/fleet/v1/agent";
import type { FieldMask } from "@bufbuild/protobuf/wkt";
import {
  agentExists,
  agentNotFound,
  checkEtag,
  checkRestartable,
  desiredAgent,
  digestOf,
  etagOf,
  providerOf,
  sameAgent,
  sameSnapshot,
  updatedAgent,
  type DesiredAgent,
  type StoredAgent,
} from "./agent.ts";
import {
  announce,
  deleteAgent,
  findCollisions,
  insertAgent,
  lockAgents,
  requestRestart,
  updateAgent,
} from "./agent-store.ts";
import { encodeChange, FLEET_CHANNEL, type FleetChange } from "./fleet-channel.ts";
import { providerNotFound, type Builtins } from "./provider.ts";
import { readProviders } from "./provider-store.ts";

/** Announces changes when the transaction commits. */
export async function announceChanges(tx: Queryable, changes: readonly FleetChange[]): Promise<void> {
  if (changes.length > 0) await announce(tx, FLEET_CHANNEL, changes.map(encodeChange));
}

/** Throws not_found when the agent's provider is neither built in nor stored. */
export async function checkProviders(
  tx: Queryable,
  agents: readonly DesiredAgent[],
  builtins: Builtins,
): Promise<void> {
  const strange = agents.find(({ spec }) => !builtins.has(providerOf(spec)));
  if (strange === undefined) return;
  const stored = await readProviders(tx);
  for (const { id, spec } of agents) {
    const name = providerOf(spec);
    if (!builtins.has(name) && !stored.has(name)) throw providerNotFound(name, id);
  }
}

/** Adds an agent, or finds the one that the same request made before. */
export async function addAgent(
  database: Database,
  message: Agent,
  requestId: string,
  builtins: Builtins,
): Promise<{ id: string; created: boolean }> {
  const agent = desiredAgent(message);
  const request = { id: requestId, digest: digestOf(agent) };
  const { id } = agent;
  return await database.transaction(async (tx) => {
    await checkProviders(tx, [agent], builtins);
    if (await insertAgent(tx, agent, request)) {
      await announceChanges(tx, [{ kind: "agent", agentId: id }]);
      return { id, created: true };
    }
    const met = await findCollisions(tx, id, requestId);
    const sameRequest = requestId === "" ? undefined : met.find((one) => one.requestId === requestId);
    if (sameRequest === undefined) throw agentExists(id);
    if (sameRequest.id === id && sameRequest.requestDigest === request.digest) return { id, created: false };
    throw invalidArgument("REQUEST_ID_REUSED", `the request id was used before to create agent "${sameRequest.id}"`, {
      hint: "Use a new request id for another agent.",
      fields: { agent_id: id },
    });
  });
}

/** Changes the fields named in the mask; false when nothing changes. */
export async function changeAgent(
  database: Database,
  request: Agent,
  mask: FieldMask | undefined,
  builtins: Builtins,
): Promise<boolean> {
  return await database.transaction(async (tx) => {
    const current = await lockAgent(tx, request.id);
    checkEtag(current, request.etag);
    const next = updatedAgent(current, request, mask);
    if (sameAgent(current, next)) return false;
    if (providerOf(next.spec) !== providerOf(current.spec)) await checkProviders(tx, [next], builtins);
    await writeAgent(tx, current, next);
    return true;
  });
}

/** Stores what is wanted now and announces it. */
export async function writeAgent(tx: Queryable, current: DesiredAgent, next: DesiredAgent): Promise<void> {
  const newSnapshot = !sameSnapshot(current, next);
  await updateAgent(tx, next, { newSnapshot });
  await announceChanges(tx, [{ kind: newSnapshot ? "agent" : "run", agentId: next.id }]);
}

/** Sets the desired state; false when it is so already. Starting also ends the pause after a crash. */
export async function setDesiredState(
  database: Database,
  id: string,
  desiredState: DesiredAgent["desiredState"],
): Promise<boolean> {
  return await database.transaction(async (tx) => {
    const current = await lockAgent(tx, id);
    const changes = current.desiredState !== desiredState;
    if (changes) await writeAgent(tx, current, { ...current, desiredState });
    if (desiredState === DesiredState.RUNNING) await announceChanges(tx, [{ kind: "start", agentId: id }]);
    return changes;
  });
}

/** Asks the supervisor for a new sidecar. */
export async function restartAgent(database: Database, id: string): Promise<void> {
  await database.transaction(async (tx) => {
    checkRestartable(await lockAgent(tx, id));
    await requestRestart(tx, id);
    await announceChanges(tx, [
      { kind: "run", agentId: id },
      { kind: "start", agentId: id },
    ]);
  });
}

/** The first half of a delete: the agent should stop. Returns the etag it has then. */
export async function stopForDelete(
  database: Database,
  id: string,
  etag: string,
): Promise<{ etag: string; agent: StoredAgent }> {
  return await database.transaction(async (tx) => {
    const current = await lockAgent(tx, id);
    checkEtag(current, etag);
    if (current.desiredState !== DesiredState.STOPPED) {
      await writeAgent(tx, current, { ...current, desiredState: DesiredState.STOPPED });
    }
    const agent = await lockAgent(tx, id);
    return { etag: etagOf(agent.version), agent };
  });
}

/** The second half: forgets the agent, unless somebody has changed it meanwhile. */
export async function finishDelete(database: Database, id: string, etag: string): Promise<void> {
  await database.transaction(async (tx) => {
    const current = (await lockAgents(tx, [id])).get(id);
    // Another delete of the same agent was faster.
    if (current === undefined) return;
    checkEtag(current, etag);
    await deleteAgent(tx, id);
    await announceChanges(tx, [{ kind: "agent", agentId: id }]);
  });
}

async function lockAgent(tx: Queryable, id: string): Promise<StoredAgent> {
  const agent = (await lockAgents(tx, [id])).get(id);
  if (agent === undefined) throw agentNotFound(id);
  return agent;
}
