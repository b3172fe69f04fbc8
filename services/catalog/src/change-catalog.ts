import { equals } from "@bufbuild/protobuf";
import { conflict } from "@openhermit/errors";
import type { Database, Queryable } from "@openhermit/postgres";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { ResourceChange } from "./catalog-ports.ts";
import {
  changedTargets,
  checkEtag,
  desiredServer,
  differences,
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

/** Creates or replaces one server; the same server again changes nothing. */
export async function putServer(
  database: Database,
  message: McpServer,
): Promise<{ stored: StoredMcpServer; changed: boolean }> {
  const server = desiredServer(message);
  return await database.transaction(async (tx) => {
    await lockWrites(tx);
    const before = (await readServers(tx, [server.id])).get(server.id);
    checkEtag(server.id, message.etag, before);
    if (before !== undefined && equals(McpServerSchema, before.server, server)) {
      return { stored: before, changed: false };
    }
    await writeServer(tx, server);
    await raiseRevisions(tx, changedTargets(before?.server, server));
    const stored = (await readServers(tx, [server.id])).get(server.id);
    if (stored === undefined) throw new Error(`MCP server ${server.id} is gone within its own transaction`);
    return { stored, changed: true };
  });
}

/** Removes one server. */
export async function removeServer(database: Database, id: string): Promise<void> {
  await database.transaction(async (tx) => {
    await lockWrites(tx);
    const before = (await readServers(tx, [id])).get(id);
    if (before === undefined) throw serverNotFound(id);
    await deleteServer(tx, id);
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
  { dryRun }: { dryRun: boolean },
): Promise<ResourceChange[]> {
  if (messages.length === 0) return [];
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
  for (const server of servers) {
    const old = before.get(server.id)?.server;
    if (old !== undefined && equals(McpServerSchema, old, server)) {
      changes.push({ id: server.id, action: "none", fields: [] });
      continue;
    }
    if (!dryRun) await writeServer(tx, server);
    for (const target of changedTargets(old, server)) targets.add(target);
    changes.push(
      old === undefined
        ? { id: server.id, action: "create", fields: [] }
        : { id: server.id, action: "update", fields: differences(old, server) },
    );
  }
  if (!dryRun) await raiseRevisions(tx, [...targets].toSorted());
  return changes;
}
