import type { Terminal } from "./terminal.ts";
import { plainLine } from "./plain-text.ts";

/** One column of a table. */
export interface Column<Row> {
  title: string;
  text(row: Row): string;
  /** How a cell looks; it gets the padded text. */
  paint?(row: Row, text: string): string;
}

/** Rows as aligned text with a heading, no borders. The last column is cut at the terminal's width. */
export function formatTable<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => plainLine(column.text(row), 200)));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => lengthOf(line[index] ?? ""))),
  );
  const last = columns.length - 1;
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + 2, 0);
  const room = terminal.isTerminal.out ? Math.max(20, terminal.width - before) : Infinity;
  const pad = (text: string, index: number): string => {
    if (index === last) return text.length > room ? `${text.slice(0, room - 1)}…` : text;
    return text + " ".repeat(Math.max(0, (widths[index] ?? 0) - lengthOf(text)));
  };
  const heading = columns.map((column, index) => pad(column.title, index)).join("  ");
  const lines = rows.map((row, line) =>
    columns
      .map((column, index) => {
        const text = pad(cells[line]?.[index] ?? "", index);
        return column.paint ? column.paint(row, text) : text;
      })
      .join("  ")
      .trimEnd(),
  );
  return [terminal.paint("dim", heading.trimEnd()), ...lines].join("\n");
}

/** Code points, which is what fills a column of ids and words. */
const lengthOf = (text: string): number => Array.from(text).length;
