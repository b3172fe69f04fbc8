/** Control characters (the line break and the tab too), line separators, and what turns the direction of the text. */
const CONTROLS = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu;
/** The same without the line break and the tab. */
const CONTROLS_OF_LINES = /[^\P{Cc}\n\t]|[\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu;
const REPLACEMENT = "\uFFFD";
const CUT = "…";

function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  // Not in the middle of a character of two halves.
  return text.slice(0, max - CUT.length).replace(/[\uD800-\uDBFF]$/, "") + CUT;
}

/**
 * A text of one line, of at most `max` characters, that can be stored, logged and shown on a terminal, whatever was in it:
 * nobody writes over a line of the trail, or forges one, with a name.
 */
export function harmlessLine(text: string, max: number): string {
  return cut(text, max).toWellFormed().replace(CONTROLS, REPLACEMENT);
}

/** The same for a text of several lines: line breaks and tabs stay. */
export function harmlessText(text: string, max: number): string {
  return cut(text, max).toWellFormed().replace(CONTROLS_OF_LINES, REPLACEMENT);
}
