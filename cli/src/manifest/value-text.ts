// C0 without the line feed, DEL, C1, the line separators, what is invisible, and the marks that reorder text.
const HIDDEN =
  // oxlint-disable-next-line eslint/no-control-regex -- control characters are what this shows
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const DIGEST = /\bsha256:([0-9a-f]{12})[0-9a-f]{52}\b/g;
/** How much stands before the first and after the last character that differs, where the rest is cut. */
const CONTEXT = 20;
/** A change is shown whole even when it takes some lines of the screen. */
const MAX_ROWS = 4;

/** Text in which nothing hides: what a terminal would act on or leave out stands as `\u001b`. Line feeds stay. */
export function visibleText(text: string): string {
  return text.replace(HIDDEN, (character) => {
    if (character === "\t") return "\\t";
    if (character === "\r") return "\\r";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** A value on one line: digests shortened, in quotes when it begins or ends with a space. */
export function valueText(value: string): string {
  const text = visibleText(value).replaceAll("\n", "\\n").replace(DIGEST, "sha256:$1");
  return text !== text.trim() ? `"${text}"` : text;
}

/**
 * The values before and after as they fit into a length: what both begin and end with is cut to its last and first
 * characters. All of what differs stays, up to four times the length.
 */
export function cutPair(before: string, after: string, length: number): [string, string] {
  const one = Array.from(before);
  const other = Array.from(after);
  const shorter = Math.min(one.length, other.length);
  if (Math.max(one.length, other.length) <= length) return [before, after];
  let start = 0;
  while (start < shorter && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < shorter - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  const head = Math.max(0, start - CONTEXT);
  const tail = Math.max(0, end - CONTEXT);
  const middle = (characters: string[]): string => {
    const text = characters.slice(head, characters.length - tail).join("");
    return cutText(`${head > 0 ? "…" : ""}${text}${tail > 0 ? "…" : ""}`, length * MAX_ROWS);
  };
  return [middle(one), middle(other)];
}

/** A value cut to a length with `…`. */
export function cutText(value: string, length: number): string {
  const characters = Array.from(value);
  return characters.length > length ? `${characters.slice(0, Math.max(1, length - 1)).join("")}…` : value;
}
