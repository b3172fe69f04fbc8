import { encodePageToken } from "./page-token.ts";

const DEFAULT_SIZE = 100;
/** A message has 4 MiB at most. The rest is for JSON, which takes more than what is counted here. */
const MAX_BYTES = 3 * 1024 * 1024;

/** How many rows a page has: what was asked for, or 100. */
export function pageSizeOf(asked: number): number {
  return asked === 0 ? DEFAULT_SIZE : asked;
}

/**
 * Cuts a page out of rows of which one more was read than the page has, to see whether there is a next one. With `bytesOf`,
 * which says how many bytes a row takes in the answer, the page ends before the row with which it would exceed 3 MiB; but
 * it has one row at least.
 */
export function cutPage<Row>(
  rows: readonly Row[],
  size: number,
  keyOf: (last: Row) => readonly string[],
  bytesOf: (row: Row) => number = () => 0,
): { page: Row[]; nextPageToken: string } {
  const page: Row[] = [];
  let bytes = 0;
  for (const row of rows.slice(0, size)) {
    bytes += bytesOf(row);
    if (page.length > 0 && bytes > MAX_BYTES) break;
    page.push(row);
  }
  const last = page.at(-1);
  return { page, nextPageToken: rows.length > page.length && last !== undefined ? encodePageToken(keyOf(last)) : "" };
}
