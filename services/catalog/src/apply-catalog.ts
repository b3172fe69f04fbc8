import { reachOf, type Change } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import type { McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import type { Skill } from "@openhermit/protocol/catalog/v1/skill";
import { raiseRevisions } from "./agent-catalog-store.ts";
import { isWholeVisible, mayAssign, type Owners } from "./assignment-reach.ts";
import { namedTargets } from "./assignment.ts";
import { etagOf, type CatalogItem, type ItemChange, type ItemKind, type Stored } from "./catalog-item.ts";
import { lockWrites } from "./catalog-lock-store.ts";
import type { ApplyOptions, CatalogPorts, ResourceChange } from "./catalog-ports.ts";
import { heldTeams, isSameItem, itemRecord, targetsOf } from "./change-catalog.ts";
import { differencesOf } from "./field-difference.ts";
import { mcpServerKind } from "./mcp-server-kind.ts";
import { skillKind } from "./skill-kind.ts";

/** What a manifest wants of the catalogue. */
export interface WantedCatalog {
  readonly mcpServers: readonly McpServer[];
  readonly skills: readonly Skill[];
}

/**
 * Makes the named things what a manifest says, within its transaction; whoever else changes the catalogue waits meanwhile. The
 * number of statements does not depend on the number of things.
 */
export async function applyCatalog(
  tx: Queryable,
  wanted: WantedCatalog,
  options: ApplyOptions,
  ports: CatalogPorts,
): Promise<{ mcpServers: ResourceChange[]; skills: ResourceChange[] }> {
  const { dryRun, prune, record } = options;
  if (!prune && wanted.mcpServers.length + wanted.skills.length === 0) return { mcpServers: [], skills: [] };
  const mcpServers = wanted.mcpServers.map((message) => mcpServerKind.desired(message));
  const skills = wanted.skills.map((message) => skillKind.desired(message));
  const owners = await ownersFor(tx, { mcpServers, skills }, options, ports);
  if (!dryRun) await lockWrites(tx);
  const servers = await applyKind(tx, mcpServerKind, mcpServers, options, owners);
  const bundles = await applyKind(tx, skillKind, skills, options, owners);
  if (!dryRun) {
    const records = [...servers.records, ...bundles.records];
    if (records.length > 0) await record(tx, records);
    await raiseRevisions(tx, [...new Set([...servers.targets, ...bundles.targets])].toSorted());
  }
  return { mcpServers: servers.changes, skills: bundles.changes };
}

async function applyKind<Item extends CatalogItem>(
  tx: Queryable,
  kind: ItemKind<Item>,
  wanted: readonly Item[],
  { dryRun, prune, compareOnly, caller, mayWrite }: ApplyOptions,
  owners: Owners,
): Promise<{ changes: ResourceChange[]; records: Change[]; targets: string[] }> {
  const reach = reachOf(caller);
  const stored = await readStored(tx, kind, wanted, prune);
  const done: ItemChange<Item>[] = [];
  const changes: ResourceChange[] = [];
  const refused = (id: string): ResourceChange => ({ id, action: "refused", fields: [], version: "" });
  const mayChange = (id: string, ...items: (Item | undefined)[]): boolean =>
    mayWrite(kind.resource, id) && mayAssign(reach, items, owners);
  const plan = (action: "create" | "update" | "delete", id: string, change: ItemChange<Item>): void => {
    const { before, after } = change;
    const old = stored.get(id);
    const fields = differencesOf(before && kind.fieldsOf(before), after && kind.fieldsOf(after));
    changes.push({ id, action, fields, version: old === undefined ? "" : etagOf(old.version) });
    done.push(change);
  };

  for (const after of wanted) {
    const { id } = after;
    const old = stored.get(id);
    const before = old?.item;
    // Whoever guesses which agents out of reach use it is not told that the guess is right.
    if (old !== undefined && isSameItem(kind, old.item, after) && isWholeVisible(reach, old.item, owners)) {
      changes.push({ id, action: "none", fields: [], version: etagOf(old.version) });
    } else if (!mayChange(id, before, after)) {
      changes.push(refused(id));
    } else {
      plan(old === undefined ? "create" : "update", id, { before, after });
    }
  }
  const named = new Set(wanted.map(({ id }) => id));
  for (const [id, { item }] of prune ? stored : []) {
    if (named.has(id) || !isWholeVisible(reach, item, owners)) continue;
    if (mayChange(id, item)) plan("delete", id, { before: item, after: undefined });
    // What agents out of reach use too stays, since a manifest of a part of the fleet need not name it; it differs all the same.
    else if (compareOnly === true || mayAssign(reach, [item], owners)) changes.push(refused(id));
  }

  await kind.prepare(tx, done, { dryRun });
  const written = done.flatMap(({ after }) => (after === undefined ? [] : [after]));
  const removed = done.flatMap(({ before, after }) => (after === undefined && before !== undefined ? [before.id] : []));
  if (!dryRun && written.length > 0) await kind.write(tx, written);
  if (!dryRun && removed.length > 0) await kind.remove(tx, removed);
  return {
    changes,
    records: done.map((change) => itemRecord(kind, change, change.after === undefined ? "delete" : "put")),
    targets: done.flatMap((change) => targetsOf(kind, change)),
  };
}

/** The things that are named, and with prune all; in the order of their ids. */
async function readStored<Item extends CatalogItem>(
  tx: Queryable,
  kind: ItemKind<Item>,
  wanted: readonly Item[],
  prune: boolean,
): Promise<Map<string, Stored<Item>>> {
  if (prune) return new Map((await kind.list(tx, "")).map((stored) => [stored.item.id, stored]));
  const ids = wanted.map(({ id }) => id);
  return ids.length === 0 ? new Map() : await kind.read(tx, ids);
}

/**
 * The teams of all agents that are concerned, as they are until the transaction ends. Asked before the lock of the catalogue
 * is taken, as all changes do. Who reaches all needs none.
 */
async function ownersFor(
  tx: Queryable,
  { mcpServers, skills }: WantedCatalog,
  { caller, prune, dryRun }: ApplyOptions,
  ports: CatalogPorts,
): Promise<Owners> {
  if (reachOf(caller).all) return new Map();
  // Who only looks waits for nobody, and is waited for by nobody.
  if (dryRun) return await ports.agentTeams(tx);
  const servers = await readStored(tx, mcpServerKind, mcpServers, prune);
  const stored = await readStored(tx, skillKind, skills, prune);
  const items = [...mcpServers, ...skills, ...[...servers.values(), ...stored.values()].map(({ item }) => item)];
  return await heldTeams(tx, items.flatMap(namedTargets), ports);
}
