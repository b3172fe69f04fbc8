import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { Reach } from "@openhermit/caller";
import { visibleAssignment } from "./assignment-reach.ts";
import { etagOf, type CatalogItem, type Stored } from "./catalog-item.ts";

/** A stored thing as a message for a caller: agents out of reach are left out. */
export function toMessage<Item extends CatalogItem>(
  { item, version, createTime, updateTime }: Stored<Item>,
  reach: Reach,
): Item & { createTime: Timestamp; updateTime: Timestamp } {
  return {
    ...item,
    ...visibleAssignment(reach, item),
    etag: etagOf(version),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  };
}
