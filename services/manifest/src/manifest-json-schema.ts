import { manifestJsonSchema } from "./manifest-schema.ts";

/** How wide the formatter of this repository lets a line be. */
const WIDTH = 120;

/** The text of docs/agents.schema.json: the JSON Schema of a manifest, as the formatter of this repository writes it. */
export function manifestSchemaText(): string {
  return `${jsonText(manifestJsonSchema(), "", 0)}\n`;
}

/** JSON with two blanks a level; a list of plain values stands on one line where it fits. `before`: what is on its line already. */
function jsonText(value: unknown, indent: string, before: number): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  const block = (open: string, items: readonly string[], close: string): string =>
    items.length === 0 ? open + close : `${open}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${close}`;
  if (!Array.isArray(value)) {
    const entries = Object.entries(value).map(([key, entry]) => {
      const name = `${JSON.stringify(key)}: `;
      return name + jsonText(entry, inner, inner.length + name.length);
    });
    return block("{", entries, "}");
  }
  const items = value.map((item) => jsonText(item, inner, inner.length));
  const line = `[${items.join(", ")}]`;
  // One more for the comma that may follow.
  const fits = !line.includes("\n") && before + line.length + 1 <= WIDTH;
  return fits ? line : block("[", items, "]");
}
