import { create } from "@bufbuild/protobuf";
import { DurationSchema, type Duration } from "@bufbuild/protobuf/wkt";

const [H, M, S, MS] = [
  String.raw`\d{1,6}h`,
  String.raw`\d{1,6}m`,
  String.raw`\d{1,9}(\.\d{1,9})?s`,
  String.raw`\d{1,9}ms`,
];

/** Durations for a schema. Without a lookahead, which not every validator knows. */
export const DURATION_PATTERN = `^(${H}(${M})?(${S})?(${MS})?|${M}(${S})?(${MS})?|${S}(${MS})?|${MS})$`;

const DURATION = /^(?=\d)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})(?:\.(\d{1,9}))?s)?(?:(\d{1,9})ms)?$/;
const NANOS = 1_000_000_000n;

/** Reads `30s`, `2m`, `1h30m`, `1.5s`, `500ms`, to the nanosecond; undefined when the text is not a duration. */
export function parseDurationText(text: string): Duration | undefined {
  const parts = DURATION.exec(text);
  if (!parts) return undefined;
  const [, hours = "0", minutes = "0", seconds = "0", fraction = "", milliseconds = "0"] = parts;
  const whole = BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds);
  const nanos = whole * NANOS + BigInt(fraction.padEnd(9, "0")) + BigInt(milliseconds) * 1_000_000n;
  return create(DurationSchema, { seconds: nanos / NANOS, nanos: Number(nanos % NANOS) });
}

/** Writes a duration of not less than 0 in the largest unit that needs no fraction; it reads back the same. */
export function durationText({ seconds, nanos }: Duration): string {
  if (nanos === 0) {
    if (seconds > 0n && seconds % 3600n === 0n) return `${seconds / 3600n}h`;
    if (seconds > 0n && seconds % 60n === 0n) return `${seconds / 60n}m`;
    return `${seconds}s`;
  }
  if (seconds === 0n && nanos % 1_000_000 === 0) return `${nanos / 1_000_000}ms`;
  return `${seconds}.${String(nanos).padStart(9, "0").replace(/0+$/, "")}s`;
}
