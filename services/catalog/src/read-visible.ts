import type { Reach } from "@openhermit/caller";
import type { Queryable } from "@openhermit/postgres";
import { isVisible } from "./assignment-reach.ts";
import type { CatalogItem, ItemKind, Stored } from "./catalog-item.ts";

/** One thing that may be seen. Throws its not_found for one that does not exist, and so for one that may not be seen. */
export async function readVisible<Item extends CatalogItem>(
  db: Queryable,
  kind: ItemKind<Item>,
  reach: Reach,
  id: string,
): Promise<Stored<Item>> {
  const stored = (await kind.read(db, [id])).get(id);
  if (stored === undefined || !isVisible(reach, stored.item)) throw kind.notFound(id);
  return stored;
}
