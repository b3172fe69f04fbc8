import { equals } from "@bufbuild/protobuf";
import { agentNotFound, reachOf, type Change, type Reach } from "@openhermit/caller";
import { conflict } from "@openhermit/errors";
import type { Database, Queryable } from "@openhermit/postgres";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { ApplyOptions, CatalogPorts, ChangeAuthor, ResourceChange } from "./catalog-ports.ts";
import {
  changedTargets,
  checkEtag,
  desiredServer,
  differences,
  EVERY_AGENT,
  serverNotFound,
  type StoredMcpServer,
} from "./mcp-server.ts";
import {
  deleteServer,
  lockWrites,
  raiseRevisions,
  readServers,
  tryLockApply,
  unassignAgent,
  writeServer,
} from "./mcp-server-store.ts";
import { assignmentRefused, isVisible, isWholeVisible, mayAssign, type Owners } from "./server-reach.ts";

/** Creates or replaces one server; the same server again changes nothing. */
export async function putServer(
  database: Database,
  message: McpServer,
  { caller, record }: ChangeAuthor,
  ports: CatalogPorts,
): Promise<{ stored: StoredMcpServer; changed: boolean }> {
  const server = desiredServer(message);
  const reach = reachOf(caller);
  return await database.transaction(async (tx) => {
    const owners = await ownersFor(tx, server.id, server.agents, reach, ports);
    await lockWrites(tx);
    const before = (await readServers(tx, [server.id])).get(server.id);
    if (before !== undefined && !isVisible(reach, before.server, owners)) throw serverNotFound(server.id);
    checkEtag(server.id, message.etag, before);
    checkNamed(reach, before?.server, server, owners);
    if (before !== undefined && equals(McpServerSchema, before.server, server)) {
      return { stored: before, changed: false };
    }
    if (!mayAssign(reach, [...(before?.server.agents ?? []), ...server.agents], owners)) {
      throw assignmentRefused(server.id);
    }
    await writeServer(tx, server);
    await record(tx, [serverChange(before?.server, server)]);
    await raiseRevisions(tx, changedTargets(before?.server, server));
    const stored = (await readServers(tx, [server.id])).get(server.id);
    if (stored === undefined) throw new Error(`MCP server ${server.id} is gone within its own transaction`);
    return { stored, changed: true };
  });
}

/** Removes one server. */
export async function removeServer(
  database: Database,
  id: string,
  { caller, record }: ChangeAuthor,
  ports: CatalogPorts,
): Promise<void> {
  const reach = reachOf(caller);
  await database.transaction(async (tx) => {
    const owners = await ownersFor(tx, id, [], reach, ports);
    await lockWrites(tx);
    const before = (await readServers(tx, [id])).get(id);
    if (before === undefined || !isVisible(reach, before.server, owners)) throw serverNotFound(id);
    if (!mayAssign(reach, before.server.agents, owners)) throw assignmentRefused(id);
    await deleteServer(tx, id);
    await record(tx, [serverChange(before.server, undefined)]);
    await raiseRevisions(tx, changedTargets(before.server, undefined));
  });
}

/** Removes a deleted agent's own assignments. An agent of the same id that comes later starts without them. */
export async function removeAgent(database: Database, agentId: string): Promise<void> {
  await database.transaction(async (tx) => {
    await lockWrites(tx);
    if ((await unassignAgent(tx, agentId)) > 0) await raiseRevisions(tx, [agentId]);
  });
}

/**
 * Makes the named servers what a manifest says, within its transaction. Of two applies at once the first wins and the
 * other gets a conflict.
 */
export async function applyServers(
  tx: Queryable,
  messages: readonly McpServer[],
  { dryRun, caller, record, mayWrite }: ApplyOptions,
  ports: CatalogPorts,
): Promise<ResourceChange[]> {
  if (messages.length === 0) return [];
  const reach = reachOf(caller);
  const owners = reach.all ? new Map<string, string>() : await ports.holdTeams(tx, namedAgents(messages));
  if (!dryRun) {
    if (!(await tryLockApply(tx))) {
      throw conflict("APPLY_IN_PROGRESS", "another manifest is being applied", {
        hint: "Nothing was changed. See what it did with a dry run, then apply again.",
      });
    }
    await lockWrites(tx);
  }
  const servers = messages.map(desiredServer);
  const before = await readServers(
    tx,
    servers.map(({ id }) => id),
  );
  const targets = new Set<string>();
  const changes: ResourceChange[] = [];
  const records: Change[] = [];
  for (const server of servers) {
    const old = before.get(server.id)?.server;
    const isSame = old !== undefined && equals(McpServerSchema, old, server);
    // Whoever guesses which agents out of reach use it is not told that the guess is right.
    if (isSame && isWholeVisible(reach, old, owners)) {
      changes.push({ id: server.id, action: "none", fields: [] });
      continue;
    }
    if (!mayWrite(server.id) || !mayAssign(reach, [...(old?.agents ?? []), ...server.agents], owners)) {
      changes.push({ id: server.id, action: "refused", fields: [] });
      continue;
    }
    if (!dryRun) await writeServer(tx, server);
    records.push(serverChange(old, server));
    for (const target of changedTargets(old, server)) targets.add(target);
    changes.push(
      old === undefined
        ? { id: server.id, action: "create", fields: [] }
        : { id: server.id, action: "update", fields: differences(old, server) },
    );
  }
  if (!dryRun && records.length > 0) {
    await record(tx, records);
    await raiseRevisions(tx, [...targets].toSorted());
  }
  return changes;
}

/** The record of a change of a server. */
function serverChange(before: McpServer | undefined, after: McpServer | undefined): Change {
  const verb = after === undefined ? "delete" : "put";
  const targetId = after?.id ?? before?.id ?? "";
  return {
    action: `mcp-servers.${verb}`,
    targetType: "mcp-server",
    targetId,
    fields: differences(before, after),
  };
}

function namedAgents(servers: readonly McpServer[]): string[] {
  return [...new Set(servers.flatMap(({ agents }) => agents))].filter((id) => id !== EVERY_AGENT).toSorted();
}

/**
 * The teams of the agents that a change concerns, as they are until the transaction ends. Asked before the lock of the
 * catalogue is taken: a manifest locks its agents first, too.
 */
async function ownersFor(
  tx: Queryable,
  serverId: string,
  named: readonly string[],
  reach: Reach,
  ports: CatalogPorts,
): Promise<Owners> {
  if (reach.all) return new Map();
  const stored = (await readServers(tx, [serverId])).get(serverId)?.server.agents ?? [];
  const agentIds = [...new Set([...named, ...stored])].filter((id) => id !== EVERY_AGENT).toSorted();
  return agentIds.length === 0 ? new Map() : await ports.holdTeams(tx, agentIds);
}

/**
 * Throws not_found for an agent that the caller names and does not reach. Nor may it name one that does not exist yet:
 * whoever makes an agent of that id would run a server somebody else chose.
 */
function checkNamed(reach: Reach, before: McpServer | undefined, after: McpServer, owners: Owners): void {
  if (reach.all) return;
  for (const id of after.agents) {
    if (id === EVERY_AGENT) continue;
    const isNew = before === undefined || !before.agents.includes(id);
    if ((isNew && !owners.has(id)) || !mayAssign(reach, [id], owners)) throw agentNotFound(id);
  }
}
