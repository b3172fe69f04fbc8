import type { Terminal } from "./terminal.ts";
import { plainLine } from "./plain-text.ts";

/** One column of a table. */
export interface Column<Row> {
  title: string;
  text(row: Row): string;
  /** How a cell looks; it gets the padded text. */
  paint?(row: Row, text: string): string;
  /** Left out on a terminal that is too narrow; the last one of them first. */
  optional?: boolean;
  /** Left out when all its cells are empty. */
  hideEmpty?: boolean;
}

/** How much of the last column is shown at least, in columns of the terminal. */
const MIN_LAST = 20;

/** Rows as aligned text with a heading, no borders. The last column is cut at the terminal's width. */
export function formatTable<Row>(terminal: Terminal, allColumns: readonly Column<Row>[], rows: readonly Row[]): string {
  const shown = allColumns.flatMap((column) => {
    const texts = rows.map((row) => plainLine(column.text(row), 200));
    if (column.hideEmpty === true && texts.every((text) => text === "")) return [];
    return [{ column, texts, width: Math.max(column.title.length, ...texts.map(lengthOf)) }];
  });
  const before = (): number => shown.slice(0, -1).reduce((sum, { width }) => sum + width + 2, 0);
  if (terminal.isTerminal.out) {
    const wanted = Math.min(MIN_LAST, shown.at(-1)?.width ?? 0);
    while (before() + wanted > terminal.width) {
      const index = shown.findLastIndex(({ column }) => column.optional === true);
      if (index < 0) break;
      shown.splice(index, 1);
    }
  }
  const columns = shown.map(({ column }) => column);
  const widths = shown.map(({ width }) => width);
  const last = columns.length - 1;
  const room = terminal.isTerminal.out ? Math.max(MIN_LAST, terminal.width - before()) : Infinity;
  const pad = (text: string, index: number): string => {
    if (index === last) return text.length > room ? `${text.slice(0, room - 1)}…` : text;
    return text + " ".repeat(Math.max(0, (widths[index] ?? 0) - lengthOf(text)));
  };
  const heading = columns.map((column, index) => pad(column.title, index)).join("  ");
  const lines = rows.map((row, line) =>
    columns
      .map((column, index) => {
        const text = pad(shown[index]?.texts[line] ?? "", index);
        return column.paint ? column.paint(row, text) : text;
      })
      .join("  ")
      .trimEnd(),
  );
  return [terminal.paint("dim", heading.trimEnd()), ...lines].join("\n");
}

/** Code points, which is what fills a column of ids and words. */
const lengthOf = (text: string): number => Array.from(text).length;
