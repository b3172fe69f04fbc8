// C0 without the line feed, DEL, C1, the line separators, what is invisible, and the marks that reorder text.
const HIDDEN =
  // oxlint-disable-next-line eslint/no-control-regex -- control characters are what this shows
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const DIGEST = /\bsha256:([0-9a-f]{12})[0-9a-f]{52}\b/g;
/** How much stands before the first character that differs, when the beginning is cut. */
const CONTEXT = 12;

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

/** The values before and after, each cut to a length so that what differs can be seen. */
export function cutPair(before: string, after: string, length: number): [string, string] {
  const one = Array.from(before);
  const other = Array.from(after);
  if (one.length <= length && other.length <= length) return [before, after];
  let same = 0;
  while (same < one.length && same < other.length && one[same] === other[same]) same += 1;
  const start = Math.max(0, same - CONTEXT);
  return [cut(one, start, length), cut(other, start, length)];
}

/** A value cut to a length with `…`. */
export const cutText = (value: string, length: number): string => cut(Array.from(value), 0, length);

function cut(characters: readonly string[], wanted: number, length: number): string {
  // No beginning is cut that would fit, and none for the sake of the few characters of `…`.
  const start = characters.length <= length || wanted <= 3 ? 0 : wanted;
  const rest = characters.slice(start);
  const room = start > 0 ? length - 1 : length;
  const text = rest.length > room ? `${rest.slice(0, Math.max(1, room - 1)).join("")}…` : rest.join("");
  return start > 0 ? `…${text}` : text;
}
