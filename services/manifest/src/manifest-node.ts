/** A place in a manifest. */
export interface Position {
  /** Which of the files, from 0. */
  file: number;
  /** From 1. */
  line: number;
  /** From 1. */
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
  entries: ReadonlyMap<string, ManifestEntry>;
}

/** A value of a mapping, with the place of its key. */
export interface ManifestEntry {
  at: Position;
  value: ManifestNode;
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

/** Which part of a path's last step is meant: its key or its value. */
export type PathPart = "key" | "value";

const START: Position = { file: 0, line: 1, column: 1 };

/** Whether a key stands there without a value. */
export function isNothing(node: ManifestNode): boolean {
  return node.kind === "scalar" && node.value === null;
}

/** Where a path stands; the nearest place around it when it does not stand in the manifest. */
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
