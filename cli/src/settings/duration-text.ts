import { create } from "@bufbuild/protobuf";
import { DurationSchema, type Duration } from "@bufbuild/protobuf/wkt";

const DURATION = /^(?=\d)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})(?:\.(\d{1,9}))?s)?(?:(\d{1,9})ms)?$/;
const NANOS = 1_000_000_000n;

/** Reads a duration as in a manifest: `30s`, `2m`, `1h30m`, `1.5s`, `500ms`; undefined when it is none. */
export function parseDuration(text: string): Duration | undefined {
  const parts = DURATION.exec(text);
  if (!parts) return undefined;
  const [, hours = "0", minutes = "0", seconds = "0", fraction = "", milliseconds = "0"] = parts;
  const whole = BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds);
  const nanos = whole * NANOS + BigInt(fraction.padEnd(9, "0")) + BigInt(milliseconds) * 1_000_000n;
  return create(DurationSchema, { seconds: nanos / NANOS, nanos: Number(nanos % NANOS) });
}

/** The same the other way: in the largest unit that needs no fraction. */
export function durationWord({ seconds, nanos }: Duration): string {
  if (nanos !== 0) return `${seconds}.${String(nanos).padStart(9, "0").replace(/0+$/, "")}s`;
  if (seconds > 0n && seconds % 3600n === 0n) return `${seconds / 3600n}h`;
  if (seconds > 0n && seconds % 60n === 0n) return `${seconds / 60n}m`;
  return `${seconds}s`;
}
