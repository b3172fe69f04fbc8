import { expect, it } from "vitest";
import { formatTable, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";

const terminal = (width: number, out: boolean): Terminal => ({
  write: () => undefined,
  line: () => undefined,
  say: () => undefined,
  sayInline: () => undefined,
  paint: (_, text) => text,
  paintWords: (_, text) => text,
  isTerminal: { out, words: out },
  width,
});

type Row = { id: string; from: string; turns: number; title: string };
const columns: Column<Row>[] = [
  { title: "ID", text: ({ id }) => id },
  { title: "FROM", optional: true, text: ({ from }) => from },
  { title: "TURNS", optional: true, text: ({ turns }) => String(turns) },
  { title: "TITLE", text: ({ title }) => title },
];
const rows = [{ id: "0123456789", from: "operator", turns: 12, title: "a title of some length, as they are" }];

it("shows everything where nobody reads it on a terminal", () => {
  expect(formatTable(terminal(80, false), columns, rows).split("\n")).toEqual([
    "ID          FROM      TURNS  TITLE",
    "0123456789  operator  12     a title of some length, as they are",
  ]);
});

it("cuts the last column, then leaves optional columns out, so that no line is longer than the terminal", () => {
  for (const width of [80, 60, 45, 40, 34]) {
    const lines = formatTable(terminal(width, true), columns, rows).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
  }
  expect(formatTable(terminal(45, true), columns, rows).split("\n")).toEqual([
    "ID          FROM      TITLE",
    "0123456789  operator  a title of some length…",
  ]);
  expect(formatTable(terminal(34, true), columns, rows)).toMatch(/^ID +TITLE\n/);
});

it("leaves a column out that says nothing, where it may", () => {
  const hidden = columns.map((column) => (column.title === "FROM" ? { ...column, hideEmpty: true } : column));
  const empty = rows.map((row) => ({ ...row, from: "" }));
  expect(formatTable(terminal(80, false), hidden, empty)).toMatch(/^ID +TURNS +TITLE\n/);
  expect(formatTable(terminal(80, false), hidden, [...empty, ...rows])).toMatch(/^ID +FROM +TURNS +TITLE\n/);
  expect(formatTable(terminal(80, false), columns, empty)).toMatch(/^ID +FROM +TURNS +TITLE\n/);
});
