import type { MeshError } from "@openhermit/errors";
import type { Queryable } from "@openhermit/postgres";
import type { Assignment } from "./assignment.ts";
import type { FieldValue } from "./field-difference.ts";

/** A thing of the catalogue: an MCP server or a skill. */
export interface CatalogItem extends Assignment {
  readonly id: string;
  readonly etag: string;
}

/** A thing as stored. */
export interface Stored<Item> {
  /** Without etag and times; its assignment in order. */
  readonly item: Item;
  readonly version: bigint;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** What is to become of one thing; undefined for one that is not yet, or no more. */
export interface ItemChange<Item> {
  readonly before: Item | undefined;
  readonly after: Item | undefined;
}

/** What the two kinds of things differ in. All else is the same for both. */
export interface ItemKind<Item extends CatalogItem> {
  readonly resource: "mcp-servers" | "skills";
  /** In the audit trail. */
  readonly targetType: "mcp-server" | "skill";
  /** In a sentence. */
  readonly noun: string;
  /** The field of an error that names it. */
  readonly idField: string;
  /** The thing as a caller asks for it: checked, without output-only fields, its assignment in order. Errors: INVALID_ARGUMENT. */
  desired(message: Item): Item;
  /** Whether the two are the same but for their assignment. */
  isSame(before: Item, after: Item): boolean;
  /** All that is set, by the keys of a manifest. */
  fieldsOf(item: Item): ReadonlyMap<string, FieldValue>;
  notFound(id: string): MeshError;
  /** The error for a thing that `was changed by somebody else` or `was deleted` since the caller read it. */
  conflict(id: string, what: string): MeshError;
  /** Checks what the things refer to, before they are written, and keeps it from going away; with dryRun only looks. */
  prepare(tx: Queryable, changes: readonly ItemChange<Item>[], options: { dryRun: boolean }): Promise<void>;
  /** The named things that exist. */
  read(db: Queryable, ids: readonly string[]): Promise<Map<string, Stored<Item>>>;
  /** Up to `limit` things after an id, in the order of their ids; without a limit all of them. */
  list(db: Queryable, afterId: string, limit?: number): Promise<Stored<Item>[]>;
  /** Creates or replaces things with their assignment; two statements, however many there are. */
  write(tx: Queryable, items: readonly Item[]): Promise<void>;
  /** Removes things with their assignment. */
  remove(tx: Queryable, ids: readonly string[]): Promise<void>;
}

/** The etag of a version. */
export function etagOf(version: bigint): string {
  return version.toString(36);
}

/** Throws conflict when an etag is given and what is stored is another, or gone. */
export function checkEtag<Item extends CatalogItem>(
  kind: ItemKind<Item>,
  { id, etag }: Item,
  stored: Stored<Item> | undefined,
): void {
  if (etag === "" || (stored !== undefined && etagOf(stored.version) === etag)) return;
  throw kind.conflict(id, stored === undefined ? "was deleted" : "was changed by somebody else");
}
