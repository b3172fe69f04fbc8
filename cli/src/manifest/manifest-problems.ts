import { ConnectError } from "@connectrpc/connect";
import { ManifestProblemsSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { CliError } from "../cli-error.ts";
import type { Terminal } from "../output/terminal.ts";
import type { ManifestSource } from "./manifest-source.ts";
import { visibleText } from "./value-text.ts";

/** One problem and where it is: in a file of the manifest, or in one that it names. */
export interface PlacedProblem {
  /** The file, as in messages. */
  readonly fileName: string;
  /** From 1; 0 where there is none. */
  readonly line: number;
  /** From 1; 0 where there is none. */
  readonly column: number;
  /** The path in the manifest, for example `agents.one.model`. May be empty. */
  readonly path: string;
  readonly message: string;
  /** What to do; may be empty. */
  readonly hint: string;
  /** The text of the file, when it is none of the manifest's. */
  readonly text?: string | undefined;
}

/** More than anybody mends before trying again. */
const MAX_SHOWN = 30;
/** The caret has to stand under its place, so a line is shown up to here. */
const MAX_SOURCE = 116;

/** The problems that the gateway found in a manifest; none when the error is another one. */
export function problemsOf(error: unknown): PlacedProblem[] {
  if (!(error instanceof ConnectError)) return [];
  return error.findDetails(ManifestProblemsSchema).flatMap((detail) => detail.problems);
}

/** All problems as one error; each with its place, and on a terminal with its line and a caret. */
export function problemsError(
  terminal: Terminal,
  source: ManifestSource,
  problems: readonly PlacedProblem[],
  cause?: unknown,
): CliError {
  const has = source.isSingle ? "has" : "have";
  const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
  const shown = problems.slice(0, MAX_SHOWN).map((problem) => problemText(terminal, source, problem));
  if (problems.length > MAX_SHOWN) shown.push(`and ${problems.length - MAX_SHOWN} more`);
  const outcome = source.verb === "apply" ? "; nothing was changed" : "";
  return new CliError(`${source.label} ${has} ${count}${outcome}`, {
    why: shown.join("\n"),
    next: `mend ${problems.length === 1 ? "it" : "them"}, then again: bin/hermit ${source.verb} ${source.flags}`,
    cause,
  });
}

/** `agents.yaml:5:3 agents.one.modle: unknown key "modle"`, the line itself, and the hint. */
function problemText(terminal: Terminal, source: ManifestSource, problem: PlacedProblem): string {
  const { line, column, path, message, hint } = problem;
  const fileName = problem.fileName === "" ? source.label : problem.fileName;
  const place = [fileName, ...(line > 0 ? [line] : []), ...(line > 0 && column > 0 ? [column] : [])].join(":");
  const lines = [`${place} ${path === "" ? "" : `${path}: `}${message}`];
  const text = problem.text ?? source.files.find(({ name }) => name === fileName)?.text ?? "";
  const sourceLine = (text.split("\n")[line - 1] ?? "").replaceAll("\t", " ").replace(/\r$/, "");
  if (sourceLine.trim() !== "" && terminal.isTerminal.words && column < 100) {
    lines.push(`    ${visibleText(sourceLine.slice(0, MAX_SOURCE))}`);
    if (column > 0) lines.push(`    ${" ".repeat(column - 1)}^`);
  }
  if (hint !== "") lines.push(`    ${hint}`);
  return lines.join("\n");
}
