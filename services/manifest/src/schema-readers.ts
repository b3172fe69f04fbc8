import type { Duration } from "@bufbuild/protobuf/wkt";
import { DURATION_PATTERN, parseDurationText } from "@openhermit/duration-text";
import { didYouMean } from "@openhermit/nearest-name";
import { isNothing, type ManifestMap, type ManifestNode, type ManifestPath } from "./manifest-node.ts";
import type { ProblemList } from "./problem-list.ts";

/** A JSON Schema, or a part of one. */
export type JsonSchema = { readonly [keyword: string]: unknown };

type Read<T> = (node: ManifestNode, path: ManifestPath, problems: ProblemList) => T | undefined;

/** Reads a node as a value of one type; on a wrong one it adds a problem and returns undefined. */
export interface Reader<T> extends Read<T> {
  /** What it accepts, for editors. */
  readonly schema: JsonSchema;
}

type Shape = Record<string, Reader<unknown>>;
/** What an object reader returns: only the keys that stand in the file and are right. */
export type ReadOf<S extends Shape> = { [K in keyof S]?: S[K] extends Reader<infer T> ? T : never };

/** A reader and the schema of what it accepts. */
export function reader<T>(schema: JsonSchema, read: Read<T>): Reader<T> {
  return Object.assign<Read<T>, { schema: JsonSchema }>((node, path, problems) => read(node, path, problems), {
    schema,
  });
}

/** The same reader, with a description for editors and what else a schema says of the value. */
export function described<T>(inner: Reader<T>, description: string, more: JsonSchema = {}): Reader<T> {
  return reader({ description, ...inner.schema, ...more }, inner);
}

/** Any text; a number or boolean is refused, since YAML has read it as something else than was meant. */
export const text: Reader<string> = reader({ type: "string" }, (node, path, problems) => {
  if (node.kind === "scalar" && typeof node.value === "string") return node.value;
  const hint = node.kind === "scalar" && node.value !== null ? `put it in quotes: "${shorten(node.source)}"` : "";
  return wrong(node, path, problems, "text", hint);
});

/** Text, or a number or boolean as the characters that stand in the file: values of arguments and environments. */
export const word: Reader<string> = reader({ type: ["string", "number", "boolean"] }, (node, path, problems) =>
  node.kind === "scalar" && node.value !== null
    ? typeof node.value === "string"
      ? node.value
      : node.source
    : wrong(node, path, problems, "text"),
);

/** A number. */
export const number: Reader<number> = reader({ type: "number" }, (node, path, problems) =>
  node.kind === "scalar" && typeof node.value === "number" && Number.isFinite(node.value)
    ? node.value
    : wrong(node, path, problems, "a number"),
);

/** A whole number of at most 31 bits. */
export const integer: Reader<number> = reader({ type: "integer" }, (node, path, problems) =>
  node.kind === "scalar" && Number.isInteger(node.value) && Math.abs(node.value as number) < 2 ** 31
    ? (node.value as number)
    : wrong(node, path, problems, "a whole number"),
);

/** A duration such as `30s`. */
export const duration: Reader<Duration> = reader(
  { type: "string", pattern: DURATION_PATTERN },
  (node, path, problems) => {
    const source = node.kind === "scalar" && node.value !== null ? String(node.value) : undefined;
    const found = source === undefined ? undefined : parseDurationText(source);
    if (found !== undefined) return found;
    const hint =
      source !== undefined && /^\d{1,9}$/.test(source) ? `write ${source}s for seconds` : "write it like 30s or 2m";
    return wrong(node, path, problems, "a duration", hint);
  },
);

/** One of the given words. */
export const choice = <const W extends string>(...words: readonly W[]): Reader<W> =>
  reader({ enum: words }, (node, path, problems) => {
    const found = node.kind === "scalar" ? words.find((known) => known === node.value) : undefined;
    if (found !== undefined) return found;
    const typed = node.kind === "scalar" ? node.source : "";
    return wrong(node, path, problems, words.map((known) => `"${known}"`).join(" or "), () => didYouMean(typed, words));
  });

/** A list of texts, or of what `item` reads as text. A wrong item is read as an empty one, so that the others keep their places. */
export const listOf = (item: Reader<string>): Reader<string[]> =>
  reader({ type: "array", items: item.schema }, (node, path, problems) =>
    node.kind === "list"
      ? node.items.map((child, index) => item(child, [...path, index], problems) ?? "")
      : wrong(node, path, problems, "a list"),
  );

/** What the names of a mapping are. */
export interface NameRule {
  /** At most this many characters, all of which match `pattern`. */
  maxLength: number;
  pattern: RegExp;
  /** Says what is wrong with a name. */
  objection(name: string): string;
}

/** A mapping of free names, or of names by a rule, to values of one type. */
export const mapOf = <T>(value: Reader<T>, rule?: NameRule): Reader<Map<string, T>> => {
  const names = rule ? { pattern: rule.pattern.source, maxLength: rule.maxLength } : { not: { const: "__proto__" } };
  const schema = { type: ["object", "null"], propertyNames: names, additionalProperties: value.schema };
  return reader(schema, (node, path, problems) => {
    if (isNothing(node)) return new Map();
    if (node.kind !== "map") return wrong(node, path, problems, "a mapping of names");
    const result = new Map<string, T>();
    for (const [name, entry] of node.entries) {
      const isWrong = rule ? !rule.pattern.test(name) || name.length > rule.maxLength : name === "__proto__";
      if (isWrong) {
        problems.add([...path, name], rule?.objection(name) ?? `"${name}" can't be a name`, "", "key");
      }
      const read = value(entry.value, [...path, name], problems);
      if (read !== undefined) result.set(name, read);
    }
    return result;
  });
};

/** A mapping with known keys. An unknown key is a problem with a hint at the nearest known one. */
export const objectOf = <S extends Shape>(shape: S): Reader<ReadOf<S>> => {
  const properties = Object.fromEntries(Object.entries(shape).map(([key, { schema }]) => [key, schema]));
  return reader({ type: ["object", "null"], properties, additionalProperties: false }, (node, path, problems) => {
    if (isNothing(node)) return {};
    if (node.kind !== "map") return wrong(node, path, problems, "a mapping");
    return readKeys(node, shape, path, problems);
  });
};

function readKeys<S extends Shape>(node: ManifestMap, shape: S, path: ManifestPath, problems: ProblemList): ReadOf<S> {
  const result: Record<string, unknown> = {};
  for (const [key, entry] of node.entries) {
    const value = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (!value) {
      const known = Object.keys(shape);
      const hint = (): string => didYouMean(key, known, `known are ${known.join(", ")}`);
      problems.add([...path, key], `unknown key "${shorten(key)}"`, hint, "key");
      continue;
    }
    const read = value(entry.value, [...path, key], problems);
    if (read !== undefined) result[key] = read;
  }
  return result as ReadOf<S>;
}

function wrong(
  node: ManifestNode,
  path: ManifestPath,
  problems: ProblemList,
  expected: string,
  hint: string | (() => string) = "",
): undefined {
  problems.add(path, `expected ${expected}, found ${describe(node)}`, hint);
  return undefined;
}

function describe(node: ManifestNode): string {
  if (node.kind === "map") return "a mapping";
  if (node.kind === "list") return "a list";
  if (node.value === null) return "nothing";
  const shown = shorten(node.source);
  return typeof node.value === "string" ? JSON.stringify(shown) : `the ${typeof node.value} ${shown}`;
}

function shorten(source: string): string {
  return source.length > 80 ? `${source.slice(0, 80)}…` : source;
}
