import { invalidArgument } from "@openhermit/errors";

/** Where a page ends: the time and the position of its last, oldest event. */
export interface PageEnd {
  readonly at: Date;
  readonly position: bigint;
}

const TOKEN = /^v1\.(-?\d{1,15})\.(\d{1,18})$/;

/** The end of a page as an opaque text. */
export function encodePageToken({ at, position }: PageEnd): string {
  return Buffer.from(`v1.${at.getTime()}.${position}`).toString("base64url");
}

/** The end of the page before; undefined for the first page. Errors: PAGE_TOKEN_INVALID. */
export function decodePageToken(token: string): PageEnd | undefined {
  if (token === "") return undefined;
  const [, at, position] = TOKEN.exec(Buffer.from(token, "base64url").toString("latin1")) ?? [];
  if (at !== undefined && position !== undefined) return { at: new Date(Number(at)), position: BigInt(position) };
  throw invalidArgument("PAGE_TOKEN_INVALID", "the page token is not one that this method returned", {
    hint: "Send next_page_token of the page before, or nothing for the first page.",
  });
}
