import { stripVTControlCharacters } from "node:util";

// C0 without tab and line feed, DEL, C1, and the marks that reorder text.
// oxlint-disable-next-line eslint/no-control-regex -- control characters are what this removes
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text of an agent or tool, safe to show: without escape sequences, control characters and bidirectional marks. */
export function plainText(text: string): string {
  return stripVTControlCharacters(text.replaceAll("\r\n", "\n")).replace(CONTROL, "");
}

/** The same on one line, cut to a length with `…`. */
export function plainLine(text: string, maxLength = 300): string {
  const line = plainText(text.slice(0, maxLength * 4))
    .replaceAll(/\s+/g, " ")
    .trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}
