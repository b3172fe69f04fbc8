import type { ManifestMap, ManifestNode, ManifestPath } from "./manifest-document.ts";
import { parseDurationText } from "./duration-text.ts";
import { didYouMean } from "./nearest-name.ts";
import type { ProblemList } from "./problem-list.ts";

/** Reads a node as a value of one type; on a wrong one it adds a problem and returns undefined. */
export type Reader<T> = (node: ManifestNode, path: ManifestPath, problems: ProblemList) => T | undefined;

type Shape = Record<string, Reader<unknown>>;
/** What an object reader returns: only the keys that stand in the file and are right. */
export type Read<S extends Shape> = { [K in keyof S]?: S[K] extends Reader<infer T> ? T : never };

/** Any text; a number or boolean is refused, since YAML has read it as something else than was meant. */
export const text: Reader<string> = (node, path, problems) => {
  if (node.kind === "scalar" && typeof node.value === "string") return node.value;
  const hint = node.kind === "scalar" && node.value !== null ? `put it in quotes: "${node.source}"` : "";
  return wrong(node, path, problems, "text", hint);
};

/** Text, or a number or boolean as the characters that stand in the file: values of arguments and environments. */
export const word: Reader<string> = (node, path, problems) =>
  node.kind === "scalar" && node.value !== null
    ? typeof node.value === "string"
      ? node.value
      : node.source
    : wrong(node, path, problems, "text");

/** A number. */
export const number: Reader<number> = (node, path, problems) =>
  node.kind === "scalar" && typeof node.value === "number" && Number.isFinite(node.value)
    ? node.value
    : wrong(node, path, problems, "a number");

/** A whole number of at most 31 bits. */
export const integer: Reader<number> = (node, path, problems) =>
  node.kind === "scalar" && Number.isInteger(node.value) && Math.abs(node.value as number) < 2 ** 31
    ? (node.value as number)
    : wrong(node, path, problems, "a whole number");

/** A duration such as `30s`, in milliseconds. */
export const duration: Reader<number> = (node, path, problems) => {
  const source = node.kind === "scalar" && node.value !== null ? String(node.value) : undefined;
  const milliseconds = source === undefined ? undefined : parseDurationText(source);
  if (milliseconds !== undefined) return milliseconds;
  const hint =
    source !== undefined && /^\d+$/.test(source) ? `write ${source}s for seconds` : "write it like 30s or 2m";
  return wrong(node, path, problems, "a duration", hint);
};

/** One of the given words. */
export const choice =
  <const W extends string>(...words: readonly W[]): Reader<W> =>
  (node, path, problems) => {
    const found = node.kind === "scalar" ? words.find((known) => known === node.value) : undefined;
    if (found !== undefined) return found;
    const typed = node.kind === "scalar" ? node.source : "";
    return wrong(node, path, problems, words.map((known) => `"${known}"`).join(" or "), didYouMean(typed, words));
  };

/** A list of values of one type. */
export const listOf =
  <T>(item: Reader<T>): Reader<T[]> =>
  (node, path, problems) => {
    if (node.kind !== "list") return wrong(node, path, problems, "a list");
    const items = node.items.map((child, index) => item(child, [...path, index], problems));
    return items.filter((value) => value !== undefined);
  };

/** A mapping of free names to values of one type. `checkName` says what is wrong with a name. */
export const mapOf =
  <T>(value: Reader<T>, checkName?: (name: string) => string | undefined): Reader<Map<string, T>> =>
  (node, path, problems) => {
    if (isNothing(node)) return new Map();
    if (node.kind !== "map") return wrong(node, path, problems, "a mapping of names");
    const result = new Map<string, T>();
    for (const [name, entry] of node.entries) {
      const objection = name === "__proto__" ? `"${name}" can't be a name` : checkName?.(name);
      if (objection !== undefined) problems.add([...path, name], objection, "", "key");
      const read = value(entry.value, [...path, name], problems);
      if (read !== undefined) result.set(name, read);
    }
    return result;
  };

/** A mapping with known keys. An unknown key is a problem with a hint at the nearest known one. */
export const objectOf =
  <S extends Shape>(shape: S): Reader<Read<S>> =>
  (node, path, problems) => {
    if (isNothing(node)) return {};
    if (node.kind !== "map") return wrong(node, path, problems, "a mapping");
    return readKeys(node, shape, path, problems);
  };

function readKeys<S extends Shape>(node: ManifestMap, shape: S, path: ManifestPath, problems: ProblemList): Read<S> {
  const result: Record<string, unknown> = {};
  for (const [key, entry] of node.entries) {
    const reader = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (!reader) {
      const known = Object.keys(shape);
      problems.add(
        [...path, key],
        `unknown key "${key}"`,
        didYouMean(key, known, `known are ${known.join(", ")}`),
        "key",
      );
      continue;
    }
    const value = reader(entry.value, [...path, key], problems);
    if (value !== undefined) result[key] = value;
  }
  return result as Read<S>;
}

function isNothing(node: ManifestNode): boolean {
  return node.kind === "scalar" && node.value === null;
}

function wrong(node: ManifestNode, path: ManifestPath, problems: ProblemList, expected: string, hint = ""): undefined {
  problems.add(path, `expected ${expected}, found ${describe(node)}`, hint);
  return undefined;
}

function describe(node: ManifestNode): string {
  if (node.kind === "map") return "a mapping";
  if (node.kind === "list") return "a list";
  if (node.value === null) return "nothing";
  const shown = node.source.length > 40 ? `${node.source.slice(0, 40)}…` : node.source;
  return typeof node.value === "string" ? JSON.stringify(shown) : `the ${typeof node.value} ${shown}`;
}
