import { createHash } from "node:crypto";

/** The longest name that every provider takes. */
const MAX_LENGTH = 64;

/**
 * Names the tools of one server as `<server>__<tool>`: letters, digits, `_` and `-`, at most 64 characters, each once.
 * What had to be cut or would be there twice ends in a hash of its own name, so that the same tool keeps its name.
 */
export function createToolNamer(server: string): (tool: string) => string {
  const taken = new Set<string>();
  return (tool) => {
    const plain = `${server}__${tool.replace(/[^A-Za-z0-9_-]/g, "_")}`;
    const name = plain.length <= MAX_LENGTH && !taken.has(plain) ? plain : withHash(plain, tool);
    taken.add(name);
    return name;
  };
}

function withHash(plain: string, tool: string): string {
  const hash = createHash("sha256").update(tool).digest("hex").slice(0, 8);
  return `${plain.slice(0, MAX_LENGTH - 9)}_${hash}`;
}
