import { encodePageToken } from "./page-token.ts";

const DEFAULT_SIZE = 100;

/** How many rows a page has: what was asked for, or 100. */
export function pageSizeOf(asked: number): number {
  return asked === 0 ? DEFAULT_SIZE : asked;
}

/** Cuts a page out of rows of which one more was read than the page has, to see whether there is a next one. */
export function cutPage<Row>(
  rows: readonly Row[],
  size: number,
  keyOf: (last: Row) => readonly string[],
): { page: Row[]; nextPageToken: string } {
  const page = rows.slice(0, size);
  const last = page.at(-1);
  return { page, nextPageToken: rows.length > size && last !== undefined ? encodePageToken(keyOf(last)) : "" };
}
