import type { Log } from "@openhermit/telemetry";
import { pino } from "pino";

/** A log that prints nothing and keeps what was said. */
export type TestLog = Log & {
  /** All records so far, oldest first: `msg`, `level` (30 is info) and the fields. */
  records(): Record<string, unknown>[];
};

const MAX_LINES = 10_000;

/** Makes a silent log that collects; children collect into the same list. The newest 10,000 records are kept. */
export function testLog(): TestLog {
  const lines: string[] = [];
  const log = pino(
    { level: "debug", base: null },
    {
      write(line: string) {
        lines.push(line);
        if (lines.length > MAX_LINES) lines.splice(0, MAX_LINES / 2);
      },
    },
  );
  return Object.assign(log, {
    records: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
  });
}
