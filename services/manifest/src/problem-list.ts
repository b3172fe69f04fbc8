import { locate, type ManifestDocument, type ManifestPath, type PathPart, type Position } from "./manifest-document.ts";

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
  add(path: ManifestPath, message: string, hint?: string, part?: PathPart): void;
  /** Whether a problem stands at the path or within it. */
  touches(path: ManifestPath): boolean;
  /** All problems in the order of the file; past 100 the last one says how many more there are. */
  sorted(): Problem[];
  readonly size: number;
}

/** A list that begins with what the reading of the file found. */
export function createProblemList(document: ManifestDocument): ProblemList {
  const problems: Problem[] = document.problems.map((problem) => ({ ...problem, path: pathText(problem.path) }));
  return {
    add: (path, message, hint = "", part = "value") => {
      problems.push({ at: locate(document.root, path, part), path: pathText(path), message, hint });
    },
    touches: (path) => {
      const text = pathText(path);
      return problems.some(
        (problem) =>
          problem.path === text || problem.path.startsWith(`${text}.`) || problem.path.startsWith(`${text}[`),
      );
    },
    sorted: () => {
      const all = problems.toSorted((a, b) => a.at.line - b.at.line || a.at.column - b.at.column);
      if (all.length <= MAX_PROBLEMS) return all;
      const rest = all.length - MAX_PROBLEMS;
      const last = all[MAX_PROBLEMS - 1] as Problem;
      return [
        ...all.slice(0, MAX_PROBLEMS),
        { at: last.at, path: "", message: `and ${rest} more`, hint: "mend these first" },
      ];
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
