import { decodePageToken } from "@openhermit/paging";

/** Where a page ends: the time and the position of its last, oldest event. */
export interface PageEnd {
  readonly at: Date;
  readonly position: bigint;
}

const MILLISECONDS = /^-?\d{1,15}$/;
const POSITION = /^\d{1,18}$/;

/** The end of a page as the key of its token. It says nothing of who may read what: each page is bound to its own caller's reach. */
export function keyOfPageEnd({ at, position }: PageEnd): string[] {
  return [String(at.getTime()), String(position)];
}

/** The end of the page before; undefined for the first page. Errors: PAGE_TOKEN_INVALID. */
export function pageEndOf(token: string): PageEnd | undefined {
  const [at, position] = decodePageToken(token, [MILLISECONDS, POSITION]) ?? [];
  return at === undefined || position === undefined
    ? undefined
    : { at: new Date(Number(at)), position: BigInt(position) };
}
