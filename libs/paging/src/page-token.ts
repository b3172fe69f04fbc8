import { invalidArgument, type MeshError } from "@openhermit/errors";

const VERSION = "1";
/** Never part of a key: a control character that PostgreSQL and our ids know, and nobody types. */
const SEPARATOR = "\u001f";

/** The error of a token that no page carried. */
export function pageTokenInvalid(): MeshError {
  return invalidArgument("PAGE_TOKEN_INVALID", "the page token is not one that this method returned", {
    hint: "Send next_page_token of the page before, or nothing for the first page.",
  });
}

/** The key of the last row of a page, as an opaque text. */
export function encodePageToken(key: readonly string[]): string {
  return Buffer.from([VERSION, ...key].join(SEPARATOR)).toString("base64url");
}

/**
 * The key in a token, each part checked against its pattern; undefined for the empty token of the first page.
 * Errors: PAGE_TOKEN_INVALID.
 */
export function decodePageToken(token: string, patterns: readonly RegExp[]): string[] | undefined {
  if (token === "") return undefined;
  const [version, ...key] = Buffer.from(token, "base64url").toString().split(SEPARATOR);
  const fits = key.length === patterns.length && patterns.every((pattern, i) => pattern.test(key[i] ?? ""));
  if (version !== VERSION || !fits) throw pageTokenInvalid();
  return key;
}
