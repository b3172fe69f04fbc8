import type { FieldChange } from "@openhermit/protocol/manifest/v1/manifest_service";
import type { Terminal } from "../output/terminal.ts";
import { diffLines, type DiffLine } from "./line-diff.ts";
import { cutPair, cutText, valueText, visibleText } from "./value-text.ts";

/** How a field is shown: with both its values, or with the one it has. */
export type FieldView = "both" | "after" | "before";

const INDENT = "    ";
/** Longer paths do not move the values of all the others to the right. */
const MAX_PATH = 28;
/** Off a terminal a line may be longer; more of a value is in `-o json`. */
const WIDTH_ELSEWHERE = 240;
/** The most lines of a text that are shown. */
const MAX_LINES = 40;
const UNSET = "(not set)";

/** The fields of one resource, a line each with the values aligned; of a text of several lines those that differ. */
export function fieldLines(terminal: Terminal, fields: readonly FieldChange[], view: FieldView): string[] {
  const isText = ({ before, after }: FieldChange): boolean => view === "both" && /\n/.test(before + after);
  const lengths = fields.filter((field) => !isText(field)).map(({ path }) => path.length);
  const width = Math.max(0, ...lengths.filter((length) => length <= MAX_PATH)) + 1;
  const room = (terminal.isTerminal.out ? terminal.width : WIDTH_ELSEWHERE) - INDENT.length;
  return fields.flatMap((field) => {
    const path = visibleText(field.path).replaceAll("\n", "\\n");
    const label = `${path}:`.padEnd(width);
    const valueRoom = Math.max(20, room - label.length - 1);
    if (view !== "both") return [`${INDENT}${label} ${oneValue(terminal, field[view], valueRoom)}`];
    const { before, after } = field;
    if (isText(field)) return [`${INDENT}${path}:`, ...textLines(terminal, before, after, room)];
    return pairLines(terminal, label, [before, after], valueRoom);
  });
}

/** `old → new`, or below each other when they are too long for one line. */
function pairLines(terminal: Terminal, label: string, values: [before: string, after: string], room: number): string[] {
  const [before, after] = values.map((value) => (value === "" ? UNSET : valueText(value))) as [string, string];
  const arrow = terminal.paint("dim", "→");
  const shown = (text: string): string => (text === UNSET ? terminal.paint("dim", text) : text);
  if (before.length + after.length + 3 <= room) return [`${INDENT}${label} ${shown(before)} ${arrow} ${shown(after)}`];
  const [one, other] = cutPair(before, after, room);
  const below = `${INDENT}${" ".repeat(Math.max(0, label.length - 1))}${arrow}`;
  return [`${INDENT}${label} ${shown(one)}`, `${below} ${shown(other)}`];
}

/** A value of a resource that comes or goes: of a text its first line and how many there are. */
function oneValue(terminal: Terminal, value: string, room: number): string {
  const [first = "", ...rest] = withoutLastEnd(value).split("\n");
  if (rest.length === 0) return cutText(valueText(first), room);
  const count = `(${rest.length + 1} lines)`;
  return `${cutText(valueText(first), Math.max(10, room - count.length - 1))} ${terminal.paint("dim", count)}`;
}

/** The lines of a text that differ, each with one that does not before and after it. */
function textLines(terminal: Terminal, before: string, after: string, room: number): string[] {
  const lines = pairLongLines(diffLines(linesOf(before).map(lineText), linesOf(after).map(lineText)), room - 4);
  const near = (index: number): boolean => [-1, 0, 1].some((by) => (lines[index + by]?.sign ?? " ") !== " ");
  const shown: string[] = [];
  let skipped = 0;
  let left = 0;
  lines.forEach((line, index) => {
    if (!near(index)) {
      skipped += 1;
      return;
    }
    if (shown.length >= MAX_LINES) {
      if (line.sign !== " ") left += 1;
      return;
    }
    if (skipped > 0 && shown.length > 0) shown.push(terminal.paint("dim", "  ⋮"));
    skipped = 0;
    shown.push(paintLine(terminal, line));
  });
  if (left > 0) shown.push(terminal.paint("dim", `  … and ${left} more lines that differ`));
  if (before !== "" && after !== "" && before.endsWith("\n") !== after.endsWith("\n"))
    shown.push(
      terminal.paint("dim", `  (the last line ${after.endsWith("\n") ? "now has" : "has no longer"} a line end)`),
    );
  return shown.map((line) => `${INDENT}  ${line}`);
}

/** A line in which nothing hides: a space at its end may be all that differs. */
const lineText = (line: string): string => visibleText(line).replace(/ +$/, (spaces) => "·".repeat(spaces.length));

/** Cuts long lines; of one that stands for another so that what differs between the two can be seen. */
function pairLongLines(lines: readonly DiffLine[], length: number): DiffLine[] {
  const cut = lines.map(({ sign, text }) => ({ sign, text: cutText(text, sign === " " ? length : length * 2) }));
  for (let index = 0; index < lines.length; index += 1) {
    const removed = runOf(lines, index, "-");
    const added = runOf(lines, index + removed, "+");
    for (let line = 0; line < Math.min(removed, added); line += 1) {
      const one = index + line;
      const other = one + removed;
      const [before, after] = cutPair(lines[one]?.text ?? "", lines[other]?.text ?? "", length);
      cut[one] = { sign: "-", text: before };
      cut[other] = { sign: "+", text: after };
    }
    index += Math.max(0, removed + added - 1);
  }
  return cut;
}

/** How many lines of a sign follow each other from an index. */
function runOf(lines: readonly DiffLine[], from: number, sign: DiffLine["sign"]): number {
  let count = 0;
  while (lines[from + count]?.sign === sign) count += 1;
  return count;
}

function paintLine(terminal: Terminal, { sign, text }: DiffLine): string {
  const line = `${sign} ${text}`.trimEnd();
  if (sign === " ") return terminal.paint("dim", line);
  return terminal.paint(sign === "+" ? "green" : "red", line);
}

const withoutLastEnd = (text: string): string => (text.endsWith("\n") ? text.slice(0, -1) : text);
const linesOf = (text: string): string[] => (text === "" ? [] : withoutLastEnd(text).split("\n"));
