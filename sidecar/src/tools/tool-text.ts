/** The longest text of a tool that is kept, in bytes of UTF-8. */
export const MAX_TOOL_TEXT_BYTES = 256 * 1024;

/** The text, cut to at most `maxBytes` of UTF-8 at a character, with a note that says so. */
export function boundToolText(text: string, maxBytes = MAX_TOOL_TEXT_BYTES): string {
  // A UTF-16 unit is at most three bytes.
  if (text.length * 3 <= maxBytes) return text;
  const size = Buffer.byteLength(text);
  if (size <= maxBytes) return text;
  const note = `\n[cut: ${size} bytes, of which the first ${maxBytes} or fewer are shown]`;
  const bytes = Buffer.from(text.slice(0, maxBytes)).subarray(0, Math.max(0, maxBytes - Buffer.byteLength(note)));
  // The last character may be halved by the cut.
  return new TextDecoder("utf-8").decode(bytes, { stream: true }) + note;
}
