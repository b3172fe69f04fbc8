import { agentNotFound, reachOf, type Change, type FieldChange, type Reach } from "@openhermit/caller";
import type { Database, Queryable } from "@openhermit/postgres";
import { raiseRevisions } from "./agent-catalog-store.ts";
import { changedTargets, disabledFor, enabledFor, EVERY_AGENT, isSameAssignment, namedTargets } from "./assignment.ts";
import {
  changeRefused,
  checkAssigned,
  checkNamed,
  isVisible,
  mayAssign,
  wildcardRefused,
  type Owners,
} from "./assignment-reach.ts";
import { unassignAgents } from "./assignment-store.ts";
import { checkEtag, type CatalogItem, type ItemChange, type ItemKind, type Stored } from "./catalog-item.ts";
import { lockWrites } from "./catalog-lock-store.ts";
import type { CatalogPorts, ChangeAuthor } from "./catalog-ports.ts";
import { differencesOf } from "./field-difference.ts";

/** What a change left behind. */
export interface ChangeResult<Item> {
  readonly stored: Stored<Item>;
  /** False when it was so already. */
  readonly changed: boolean;
}

/** Creates or replaces one thing; the same thing again changes nothing. */
export async function putItem<Item extends CatalogItem>(
  database: Database,
  kind: ItemKind<Item>,
  message: Item,
  { caller, record }: ChangeAuthor,
  ports: CatalogPorts,
): Promise<ChangeResult<Item>> {
  const item = kind.desired(message);
  const { id } = item;
  const reach = reachOf(caller);
  return await database.transaction(async (tx) => {
    const owners = await ownersFor(tx, kind, id, namedTargets(item), reach, ports);
    await lockWrites(tx);
    const before = (await kind.read(tx, [id])).get(id);
    if (before !== undefined && !isVisible(reach, before.item, owners)) throw kind.notFound(id);
    checkEtag(kind, message, before);
    checkNamed(reach, before?.item, item, owners);
    if (before !== undefined && isSameItem(kind, before.item, item)) return { stored: before, changed: false };
    if (!mayAssign(reach, [before?.item, item], owners)) throw changeRefused(kind, id);
    return await change(tx, kind, { before: before?.item, after: item }, { verb: "put", record });
  });
}

/** Gives one thing to an agent, or to `*`, or takes it away. Who does it needs that agent in reach, and for `*` all. */
export async function switchItem<Item extends CatalogItem>(
  database: Database,
  kind: ItemKind<Item>,
  { id, target, enabled }: { id: string; target: string; enabled: boolean },
  { caller, record }: ChangeAuthor,
  ports: CatalogPorts,
): Promise<ChangeResult<Item>> {
  const reach = reachOf(caller);
  return await database.transaction(async (tx) => {
    const owners = target === EVERY_AGENT ? new Map<string, string>() : await ports.holdTeams(tx, [target]);
    await lockWrites(tx);
    const stored = (await kind.read(tx, [id])).get(id);
    if (stored === undefined || !isVisible(reach, stored.item, owners)) throw kind.notFound(id);
    if (target === EVERY_AGENT) {
      if (!reach.all) throw wildcardRefused(kind, id);
    } else if (!owners.has(target) || !reach.has(target, owners.get(target))) {
      throw agentNotFound(target);
    }
    const before = stored.item;
    const after = { ...before, ...(enabled ? enabledFor : disabledFor)(before, target) };
    if (isSameAssignment(before, after)) return { stored, changed: false };
    checkAssigned(kind, after);
    return await change(tx, kind, { before, after }, { verb: enabled ? "enable" : "disable", record });
  });
}

/** Removes one thing. */
export async function removeItem<Item extends CatalogItem>(
  database: Database,
  kind: ItemKind<Item>,
  id: string,
  { caller, record }: ChangeAuthor,
  ports: CatalogPorts,
): Promise<void> {
  const reach = reachOf(caller);
  await database.transaction(async (tx) => {
    const owners = await ownersFor(tx, kind, id, [], reach, ports);
    await lockWrites(tx);
    const before = (await kind.read(tx, [id])).get(id)?.item;
    if (before === undefined || !isVisible(reach, before, owners)) throw kind.notFound(id);
    if (!mayAssign(reach, [before], owners)) throw changeRefused(kind, id);
    const gone = { before, after: undefined };
    await kind.prepare(tx, [gone], { dryRun: false });
    await kind.remove(tx, [id]);
    await record(tx, [itemRecord(kind, gone, "delete")]);
    await raiseRevisions(tx, targetsOf(kind, gone));
  });
}

/** Removes the own rows of agents that are deleted by the same transaction. */
export async function removeAgents(tx: Queryable, agentIds: readonly string[]): Promise<void> {
  if (agentIds.length === 0) return;
  await lockWrites(tx);
  await raiseRevisions(tx, await unassignAgents(tx, agentIds));
}

/** Whether the two are the same, their assignment too. */
export function isSameItem<Item extends CatalogItem>(kind: ItemKind<Item>, before: Item, after: Item): boolean {
  return kind.isSame(before, after) && isSameAssignment(before, after);
}

/** The targets (agents, or `*`) whose catalogue a change concerns. */
export function targetsOf<Item extends CatalogItem>(
  kind: ItemKind<Item>,
  { before, after }: ItemChange<Item>,
): string[] {
  return changedTargets(before, after, before !== undefined && after !== undefined && kind.isSame(before, after));
}

/** The record of a change in the audit trail. */
export function itemRecord<Item extends CatalogItem>(
  kind: ItemKind<Item>,
  { before, after }: ItemChange<Item>,
  verb: "put" | "enable" | "disable" | "delete",
): Change {
  const fields = differencesOf(before && kind.fieldsOf(before), after && kind.fieldsOf(after));
  return {
    action: `${kind.resource}.${verb}`,
    targetType: kind.targetType,
    targetId: after?.id ?? before?.id ?? "",
    fields: fields.map(({ path, before: old, after: now }): FieldChange => ({ path, before: old, after: now })),
  };
}

async function change<Item extends CatalogItem>(
  tx: Queryable,
  kind: ItemKind<Item>,
  { before, after }: { before: Item | undefined; after: Item },
  { verb, record }: { verb: "put" | "enable" | "disable"; record: ChangeAuthor["record"] },
): Promise<ChangeResult<Item>> {
  await kind.prepare(tx, [{ before, after }], { dryRun: false });
  await kind.write(tx, [after]);
  await record(tx, [itemRecord(kind, { before, after }, verb)]);
  await raiseRevisions(tx, targetsOf(kind, { before, after }));
  const stored = (await kind.read(tx, [after.id])).get(after.id);
  if (stored === undefined) throw new Error(`${kind.noun} ${after.id} is gone within its own transaction`);
  return { stored, changed: true };
}

/**
 * The teams of the agents that a change concerns, as they are until the transaction ends. Asked before the lock of the
 * catalogue is taken: a manifest locks its agents first, too.
 */
async function ownersFor<Item extends CatalogItem>(
  tx: Queryable,
  kind: ItemKind<Item>,
  id: string,
  named: readonly string[],
  reach: Reach,
  ports: CatalogPorts,
): Promise<Owners> {
  if (reach.all) return new Map();
  return await heldTeams(tx, [...named, ...namedTargets((await kind.read(tx, [id])).get(id)?.item)], ports);
}

/** The teams of those of the targets that are agents. */
export async function heldTeams(tx: Queryable, targets: readonly string[], ports: CatalogPorts): Promise<Owners> {
  const agentIds = [...new Set(targets)].filter((id) => id !== EVERY_AGENT).toSorted();
  return agentIds.length === 0 ? new Map() : await ports.holdTeams(tx, agentIds);
}
