import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Scalar } from "yaml";

/** A place in a manifest: line and column, both from 1. */
export interface Position {
  line: number;
  column: number;
}

/** The way to a value: map keys and list indexes from the root. */
export type ManifestPath = readonly (string | number)[];

/** One value of a manifest, with its place. */
export type ManifestNode = ManifestMap | ManifestList | ManifestScalar;

/** A mapping. A key that stands twice is a problem; the first one counts. */
export interface ManifestMap {
  kind: "map";
  at: Position;
  entries: ReadonlyMap<string, { at: Position; value: ManifestNode }>;
}

/** A list. */
export interface ManifestList {
  kind: "list";
  at: Position;
  items: readonly ManifestNode[];
}

/** A text, number, boolean or null, with the characters that stand in the file. */
export interface ManifestScalar {
  kind: "scalar";
  at: Position;
  value: string | number | boolean | null;
  source: string;
}

/** A problem that stands at a place rather than at a path. */
export interface SyntaxProblem {
  at: Position;
  path: ManifestPath;
  message: string;
  hint: string;
}

/** A manifest as it stands in its file. `root` is undefined when it can't be read at all. */
export interface ManifestDocument {
  root: ManifestNode | undefined;
  problems: readonly SyntaxProblem[];
}

/** More values than any fleet has; reached only by aliases that multiply. */
const MAX_NODES = 100_000;
const MAX_DEPTH = 32;
/** What the parser says when nesting has used up the stack. */
const DEEP = /call stack|RangeError/;
const START: Position = { line: 1, column: 1 };

/** Which part of a path's last step is meant: its key or its value. */
export type PathPart = "key" | "value";

/** Where a path stands; the nearest place around it when it does not stand in the file. */
export function locate(root: ManifestNode | undefined, path: ManifestPath, part: PathPart): Position {
  let node = root;
  let at = root?.at ?? START;
  for (const [index, step] of path.entries()) {
    if (node?.kind === "map") {
      const entry = node.entries.get(String(step));
      if (!entry) return at;
      at = part === "key" || index < path.length - 1 ? entry.at : entry.value.at;
      node = entry.value;
    } else if (node?.kind === "list") {
      const item = typeof step === "number" ? node.items[step] : undefined;
      if (!item) return at;
      at = item.at;
      node = item;
    } else {
      return at;
    }
  }
  return at;
}

/**
 * Reads YAML into nodes with places. Never throws: what can't be read is a problem. Aliases are followed within a
 * bound of 100,000 values and a depth of 32, so that a file can't grow in memory.
 */
export function readManifestDocument(text: string): ManifestDocument {
  const lines = new LineCounter();
  const problems: SyntaxProblem[] = [];
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  try {
    // uniqueKeys of the library compares each key with each other; ours below takes linear time.
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: "error",
    });
    for (const error of [...document.errors, ...document.warnings]) {
      const message = DEEP.test(error.message) ? "the file is nested too deeply" : sentence(error.message);
      problems.push({ at: at(error.pos[0]), path: [], message, hint: hintFor(error.code) });
    }
    if (document.errors.length > 0) return { root: undefined, problems };
    const root = document.contents === null ? undefined : createReader(at, problems).read(document.contents, [], 0);
    return { root, problems };
  } catch (error) {
    const message = DEEP.test(String(error))
      ? "the file is nested too deeply"
      : `the file is not YAML: ${sentence(String(error))}`;
    return { root: undefined, problems: [...problems, { at: START, path: [], message, hint: "" }] };
  }
}

function createReader(at: (offset: number) => Position, problems: SyntaxProblem[]) {
  const anchors = new Map<string, Node>();
  const open = new Set<Node>();
  let count = 0;
  let exhausted = false;

  function place(node: unknown, fallback: Position): Position {
    const range = (node as { range?: readonly number[] | null } | null)?.range;
    return range?.[0] === undefined ? fallback : at(range[0]);
  }

  function follow(node: Node, path: ManifestPath, depth: number, position: Position): ManifestNode | undefined {
    const name = (node as { source?: string }).source ?? "";
    const target = anchors.get(name);
    if (!target || open.has(target)) {
      const message = target ? `alias "*${name}" contains itself` : `alias "*${name}" has no anchor before it`;
      problems.push({ at: position, path, message, hint: "" });
      return undefined;
    }
    return read(target, path, depth);
  }

  function read(node: unknown, path: ManifestPath, depth: number, around: Position = START): ManifestNode | undefined {
    if (exhausted) return undefined;
    const position = place(node, around);
    if (++count > MAX_NODES || depth > MAX_DEPTH) {
      exhausted = true;
      const message = depth > MAX_DEPTH ? "the file is nested too deeply" : "the file has too many values";
      problems.push({ at: position, path, message, hint: "write aliases out, or split the file" });
      return undefined;
    }
    if (node === null || node === undefined) {
      return { kind: "scalar", at: position, value: null, source: "" };
    }
    if (isAlias(node)) return follow(node, path, depth, position);
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor !== undefined) anchors.set(anchor, node as Node);
    open.add(node as Node);
    try {
      if (isMap(node)) return readMap(node.items, path, depth, position);
      if (isSeq(node)) {
        const items = node.items.map((item, index) => read(item, [...path, index], depth + 1, position));
        return { kind: "list", at: position, items: items.filter((item) => item !== undefined) };
      }
      if (isScalar(node)) {
        return { kind: "scalar", at: position, value: plain(node.value), source: sourceOf(node) };
      }
      return { kind: "scalar", at: position, value: null, source: "" };
    } finally {
      open.delete(node as Node);
    }
  }

  function readMap(
    pairs: readonly { key: unknown; value: unknown }[],
    path: ManifestPath,
    depth: number,
    position: Position,
  ): ManifestMap {
    const entries = new Map<string, { at: Position; value: ManifestNode }>();
    for (const pair of pairs) {
      if (exhausted) break;
      const keyAt = place(pair.key, position);
      if (!isScalar(pair.key)) {
        problems.push({ at: keyAt, path, message: "a key must be plain text", hint: "" });
        continue;
      }
      const key = pair.key.value === null ? "" : sourceOf(pair.key);
      const before = entries.get(key);
      if (before) {
        const message = `"${key}" stands twice; the first is in line ${before.at.line}`;
        problems.push({ at: keyAt, path: [...path, key], message, hint: "remove one of the two" });
        continue;
      }
      const value = read(pair.value, [...path, key], depth + 1, keyAt);
      if (value) entries.set(key, { at: keyAt, value });
    }
    return { kind: "map", at: position, entries };
  }

  return { read };
}

function plain(value: unknown): ManifestScalar["value"] {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** The characters of a scalar in the file. */
function sourceOf(scalar: Scalar): string {
  return scalar.source ?? String(plain(scalar.value) ?? "");
}

function sentence(message: string): string {
  const first = message.split("\n")[0]?.trim() ?? message;
  return first.charAt(0).toLowerCase() + first.slice(1);
}

function hintFor(code: string): string {
  switch (code) {
    case "TAB_AS_INDENT":
      return "indent with spaces";
    case "MULTIPLE_DOCS":
      return "keep one document a file, without ---";
    case "BAD_INDENT":
      return "check the indentation of this line and of the one before";
    case "TAG_RESOLVE_FAILED":
      return "write the value without a tag";
    default:
      return "";
  }
}
