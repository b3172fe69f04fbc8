import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from "yaml";

/** What of a file has to be known before it is sent. */
export interface DeclaredNames {
  /** The names under `environment:`. */
  readonly variables: readonly string[];
  /** The skills that are named by a path. */
  readonly skillPaths: readonly { id: string; path: string; line: number; column: number }[];
}

const NONE: DeclaredNames = { variables: [], skillPaths: [] };
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const MAX_SKILL_ID = 64;

/**
 * Reads the names of variables and the paths of skills. Lenient: whatever is not as it should be is left out, since the
 * gateway tells every problem with its place. Never fails; what aliases stand for is not unfolded.
 */
export function readDeclaredNames(text: string): DeclaredNames {
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { lineCounter: lines, logLevel: "silent", prettyErrors: false });
    // Of a damaged file half would be guessed.
    if (document.errors.length > 0) return NONE;
    return {
      variables: variablesOf(document).filter((name) => VARIABLE.test(name)),
      skillPaths: skillPathsOf(document, lines),
    };
  } catch {
    // A file that is nested too deep, for example.
    return NONE;
  }
}

function variablesOf(document: Document): string[] {
  const declared = valueOf(document, document.contents, "environment");
  return isSeq(declared) ? declared.items.map((item) => textOf(document, item)) : [];
}

function skillPathsOf(document: Document, lines: LineCounter): DeclaredNames["skillPaths"] {
  const skills = valueOf(document, document.contents, "skills");
  if (!isMap(skills)) return [];
  return skills.items.flatMap(({ key, value }) => {
    const id = textOf(document, key);
    const node = valueOf(document, value, "path");
    const path = textOf(document, node);
    if (id === "" || id.length > MAX_SKILL_ID || path === "") return [];
    const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
    return [{ id, path, line, column: col }];
  });
}

/** What a key of a map has for a value, behind an alias. */
function valueOf(document: Document, node: unknown, name: string): Node | undefined {
  const map = resolved(document, node);
  if (!isMap(map)) return undefined;
  const pair = map.items.find(({ key }) => textOf(document, key) === name);
  return resolved(document, pair?.value);
}

function textOf(document: Document, node: unknown): string {
  const scalar = resolved(document, node);
  return isScalar(scalar) && typeof scalar.value === "string" ? scalar.value : "";
}

const resolved = (document: Document, node: unknown): Node | undefined =>
  (isAlias(node) ? node.resolve(document) : node) as Node | undefined;
