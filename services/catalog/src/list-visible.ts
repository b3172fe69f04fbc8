import type { Reach } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { isVisible } from "./assignment-reach.ts";
import type { CatalogItem, ItemKind, Stored } from "./catalog-item.ts";

/** How many things are read at once, at least: most of them are visible to most callers. */
const CHUNK = 200;

/**
 * Up to `limit` things after an id that may be seen, in the order of their ids. Read in chunks, since only the reach
 * itself knows about an agent that a thing is assigned to and that does not exist.
 */
export async function listVisible<Item extends CatalogItem>(
  db: Queryable,
  kind: ItemKind<Item>,
  reach: Reach,
  { afterId, limit }: { afterId: string; limit: number },
): Promise<Stored<Item>[]> {
  if (reach.all) return await kind.list(db, afterId, limit);
  const chunk = Math.max(limit, CHUNK);
  const found: Stored<Item>[] = [];
  let after = afterId;
  for (;;) {
    const read = await kind.list(db, after, chunk);
    found.push(...read.filter(({ item }) => isVisible(reach, item)));
    const last = read.at(-1);
    if (last === undefined || read.length < chunk || found.length >= limit) return found.slice(0, limit);
    after = last.item.id;
  }
}
