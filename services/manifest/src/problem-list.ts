import type { ManifestDocument } from "./manifest-document.ts";
import { locate, type ManifestPath, type PathPart, type Position } from "./manifest-node.ts";

/** One problem of a manifest, with its place. */
export interface Problem {
  at: Position;
  /** For people: `agents.one.model`. */
  path: string;
  message: string;
  /** What to do; empty when the message already says it. */
  hint: string;
}

/** At most this many problems are told at once. */
const MAX_PROBLEMS = 100;

/** Collects the problems of one manifest, each at its place. */
export interface ProblemList {
  /** A hint that takes a search is given as a function: it is asked only for what is told. */
  add(path: ManifestPath, message: string, hint?: string | (() => string), part?: PathPart): void;
  /** Whether a problem stands at the path or within it. */
  touches(path: ManifestPath): boolean;
  /** All problems in the order of the files; past 100 the last one says how many more there are. */
  sorted(): Problem[];
  readonly size: number;
}

/** A list that begins with what the reading of the files found. */
export function createProblemList(document: ManifestDocument): ProblemList {
  const problems: (Omit<Problem, "hint"> & { hint: string | (() => string) })[] = [];
  const touched = new Set<string>();
  const push = (at: Position, path: ManifestPath, message: string, hint: string | (() => string)): void => {
    problems.push({ at, path: pathText(path), message, hint });
    for (let length = path.length; length > 0; length--) touched.add(JSON.stringify(path.slice(0, length)));
  };
  for (const { at, path, message, hint } of document.problems) push(at, path, message, hint);
  return {
    add: (path, message, hint = "", part = "value") => push(locate(document.root, path, part), path, message, hint),
    touches: (path) => touched.has(JSON.stringify(path)),
    sorted: () => {
      const all = problems.toSorted(
        ({ at: a }, { at: b }) => a.file - b.file || a.line - b.line || a.column - b.column,
      );
      const told = all
        .slice(0, MAX_PROBLEMS)
        .map(({ hint, ...problem }) => ({ ...problem, hint: typeof hint === "string" ? hint : hint() }));
      const last = told.at(-1);
      if (last === undefined || all.length <= MAX_PROBLEMS) return told;
      const rest = all.length - MAX_PROBLEMS;
      return [...told, { at: last.at, path: "", message: `and ${rest} more`, hint: "mend these first" }];
    },
    get size() {
      return problems.length;
    },
  };
}

/** A path for people: `agents.one.model`, `mcpServers.x.args[2]`. Keys that are no words stand in quotes. */
export function pathText(path: ManifestPath): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else text += (text === "" ? "" : ".") + (/^[\w-]+$/.test(step) ? step : JSON.stringify(step.slice(0, 100)));
  }
  return text;
}
