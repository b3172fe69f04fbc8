/** One measured line: what, the figure, and what it is held against. */
export interface Measurement {
  /** The number of the goal, as docs/performance.md lists them; 0 for a plain figure. */
  goal: number;
  /** What was measured. */
  name: string;
  /** The figure. */
  value: number;
  /** Its unit. */
  unit: string;
  /** The bound, when the goal has one for this figure. */
  bound?: { kind: "at most" | "at least"; value: number };
  /** How the figure came about: peers, repeats, spread. */
  note?: string;
}

/** Whether a measurement meets its bound; undefined without one. */
export function meets({ value, bound }: Measurement): boolean | undefined {
  if (bound === undefined) return undefined;
  return bound.kind === "at most" ? value <= bound.value : value >= bound.value;
}

const digits = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** A table for a terminal or a Markdown file. */
export function formatTable(measurements: readonly Measurement[]): string {
  const rows = measurements.map((m) => {
    const met = meets(m);
    return [
      m.goal === 0 ? "" : String(m.goal),
      m.name,
      `${digits(m.value)} ${m.unit}`,
      m.bound === undefined ? "" : `${m.bound.kind} ${digits(m.bound.value)}`,
      met === undefined ? "" : met ? "met" : "MISSED",
      m.note ?? "",
    ];
  });
  const head = ["goal", "what", "measured", "bound", "", "how"];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
