/**
 * Breaks a line between words so that it fits into a width, in characters. The first line begins with `first`, those after it
 * with `others`. A word that is longer than the width stays whole.
 */
export function wrapWords(text: string, width: number, first = "", others = first): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const word of text.split(" ")) {
    const longer = line === undefined ? `${first}${word}` : `${line} ${word}`;
    if (line === undefined || Array.from(longer).length <= width) line = longer;
    else {
      lines.push(line);
      line = `${others}${word}`;
    }
  }
  return [...lines, line ?? ""];
}
