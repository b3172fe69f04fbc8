import { createYamlParser } from "@openhermit/bounded-yaml";
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Scalar } from "yaml";
import type {
  ManifestEntry,
  ManifestMap,
  ManifestNode,
  ManifestPath,
  ManifestScalar,
  Position,
  SyntaxProblem,
} from "./manifest-node.ts";

/** More values than any fleet has; reached only by aliases that multiply. */
const MAX_NODES = 100_000;
const MAX_DEPTH = 32;
/** The most text of all values, in UTF-16 units: more than the files have, so reached only by aliases of long texts. */
const MAX_TEXT = 3 * 1024 * 1024;
/** Ten for each value, which is more than any needs. */
const MAX_TOKENS = 10 * MAX_NODES;
const TOO_DEEP = "the file is nested too deeply";
const TOO_LONG = "the manifest has too many values";
const TOO_MUCH_TEXT = "the aliases of the manifest repeat too much text";

/** Reads the files of one manifest, with one bound for all of them. */
export interface YamlReader {
  /**
   * Reads one file into nodes with places; undefined when it holds nothing or can't be read at all. Never throws: what
   * can't be read is a problem. Aliases are followed within a bound of 100,000 values and 3 Mi characters over all files and a depth of 32,
   * so that a manifest can't grow in memory.
   */
  read(text: string, file: number): ManifestNode | undefined;
}

/** A reader that adds what it can't read to the problems. */
export function createYamlReader(problems: SyntaxProblem[]): YamlReader {
  const budget = { nodes: MAX_NODES, text: MAX_TEXT, exhausted: false };
  // Deeper than values may be: those have the better place.
  const parser = createYamlParser({ maxDepth: 2 * MAX_DEPTH, maxTokens: MAX_TOKENS });
  return {
    read(text, file) {
      const lines = new LineCounter();
      const at = (offset: number): Position => {
        const { line, col } = lines.linePos(offset);
        return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
      };
      const result = parser.parse(text, { lineCounter: lines, logLevel: "error" });
      if (result.kind !== "document") {
        const message = result.kind === "too deep" ? TOO_DEEP : TOO_LONG;
        problems.push({ at: at(result.offset), path: [], message, hint: "write aliases out, or apply it in parts" });
        return undefined;
      }
      const { document } = result;
      for (const error of [...document.errors, ...document.warnings]) {
        problems.push({ at: at(error.pos[0]), path: [], message: sentence(error.message), hint: hintFor(error.code) });
      }
      if (document.errors.length > 0 || document.contents === null) return undefined;
      return createNodeReader(at, budget, problems)(document.contents, [], 0);
    },
  };
}

function createNodeReader(
  at: (offset: number) => Position,
  budget: { nodes: number; text: number; exhausted: boolean },
  problems: SyntaxProblem[],
) {
  const anchors = new Map<string, Node>();
  const open = new Set<Node>();
  const start = at(0);

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

  function read(node: unknown, path: ManifestPath, depth: number, around: Position = start): ManifestNode | undefined {
    if (budget.exhausted) return undefined;
    const position = place(node, around);
    if (--budget.nodes < 0 || depth > MAX_DEPTH) return giveUp(depth > MAX_DEPTH ? TOO_DEEP : TOO_LONG, path, position);
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
      if (isScalar(node)) return readScalar(node, path, position);
      return { kind: "scalar", at: position, value: null, source: "" };
    } finally {
      open.delete(node as Node);
    }
  }

  function giveUp(message: string, path: ManifestPath, position: Position): undefined {
    budget.exhausted = true;
    problems.push({ at: position, path, message, hint: "write aliases out, or apply it in parts" });
  }

  function readScalar(node: Scalar, path: ManifestPath, position: Position): ManifestScalar | undefined {
    const scalar: ManifestScalar = { kind: "scalar", at: position, value: plain(node.value), source: sourceOf(node) };
    budget.text -= scalar.source.length;
    if (budget.text < 0) return giveUp(TOO_MUCH_TEXT, path, position);
    if (typeof scalar.value === "string") checkStorable(scalar.value, path, position);
    return scalar;
  }

  /** PostgreSQL keeps all text but this. */
  function checkStorable(text: string, path: ManifestPath, position: Position): void {
    const what = text.includes("\0") ? "the character NUL" : text.isWellFormed() ? undefined : "half of a character";
    if (what !== undefined)
      problems.push({ at: position, path, message: `text can't hold ${what}`, hint: "remove it" });
  }

  function readMap(
    pairs: readonly { key: unknown; value: unknown }[],
    path: ManifestPath,
    depth: number,
    position: Position,
  ): ManifestMap {
    const entries = new Map<string, ManifestEntry>();
    for (const pair of pairs) {
      if (budget.exhausted) break;
      const keyAt = place(pair.key, position);
      if (!isScalar(pair.key)) {
        problems.push({ at: keyAt, path, message: "a key must be plain text", hint: "" });
        continue;
      }
      const key = sourceOf(pair.key);
      checkStorable(key, path, keyAt);
      const before = entries.get(key);
      if (before) {
        const message = `"${key.slice(0, 80)}" stands twice; the first is in line ${before.at.line}`;
        problems.push({ at: keyAt, path: [...path, key], message, hint: "remove one of the two" });
        continue;
      }
      const value = read(pair.value, [...path, key], depth + 1, keyAt);
      if (value) entries.set(key, { at: keyAt, value });
    }
    return { kind: "map", at: position, entries };
  }

  return read;
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
