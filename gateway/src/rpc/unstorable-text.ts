/**
 * The path of the first text in a message that PostgreSQL can't hold: one with a NUL character, or one that is not
 * valid Unicode. Undefined when there is none.
 */
export function unstorableText(value: unknown, path = ""): string | undefined {
  if (typeof value === "string") {
    return value.includes("\0") || !value.isWellFormed() ? path : undefined;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) {
    return undefined;
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const found = unstorableText(item, `${path}[${index}]`);
      if (found !== undefined) {
        return found;
      }
    }
    return undefined;
  }
  for (const [key, item] of Object.entries(value)) {
    if (key === "$typeName" || key === "$unknown") {
      continue;
    }
    if (key.includes("\0") || !key.isWellFormed()) {
      return path;
    }
    const found = unstorableText(item, path === "" ? key : `${path}.${key}`);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}
