import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";

/** How long ago: `12s`, `4m`, `3h`, `5d`; `-` when unset. */
export function ageText(time: Timestamp | undefined, now: number = Date.now()): string {
  return time ? spanText(now - timestampMs(time), Math.floor) : "-";
}

/** How long still: `12s`, `4m`, `3h`, `5d`; `0s` when it is over. Rounded, so that 7 days are said to be 7. */
export function untilText(time: Timestamp | Date | undefined, now: number = Date.now()): string {
  if (!time) return "-";
  return spanText((time instanceof Date ? time.getTime() : timestampMs(time)) - now, Math.round);
}

function spanText(milliseconds: number, whole: (number: number) => number): string {
  const seconds = Math.max(0, milliseconds / 1000);
  if (whole(seconds) < 60) return `${whole(seconds)}s`;
  if (whole(seconds / 60) < 60) return `${whole(seconds / 60)}m`;
  if (whole(seconds / 3600) < 24) return `${whole(seconds / 3600)}h`;
  return `${whole(seconds / 86_400)}d`;
}

/** Seconds in the largest unit that divides them: `1m`, `366d`, `90s`. */
export function wholeSpanText(seconds: number): string {
  for (const [unit, size] of UNITS) if (seconds >= size && seconds % size === 0) return `${seconds / size}${unit}`;
  return `${seconds}s`;
}

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
];

/** A moment to the minute in the zone of this machine, `2026-11-21 17:11`; empty when unset. */
export function minuteText(time: Timestamp | undefined): string {
  if (!time) return "";
  const date = new Date(timestampMs(time));
  return `${dayOf(date)} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** The time of day in the zone of this machine, to the millisecond: `17:11:02.123`; of another day with its date before it. */
export function clockText(time: Timestamp | undefined, now: number = Date.now()): string {
  if (!time) return "--:--:--.---";
  const date = new Date(timestampMs(time));
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
  return dayOf(date) === dayOf(new Date(now)) ? clock : `${dayOf(date)} ${clock}`;
}

const dayOf = (date: Date): string => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** A duration as `12 ms` or `3.4 s`. */
export function durationText(duration: Duration | undefined): string {
  return duration ? millisecondsText(durationMs(duration)) : "";
}

/** Milliseconds as `12 ms` or `3.4 s`. */
export function millisecondsText(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Reads `10m`, `2h30m`, `7d` (that long ago) or an ISO date and time; undefined when it is neither. */
export function parseSince(text: string, now: number = Date.now()): Date | undefined {
  const span = parseSpan(text);
  if (span !== undefined) return new Date(now - span);
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? undefined : new Date(at);
}

/** Reads `10m`, `2h30m`, `30d` as milliseconds; undefined when it is none. */
export function parseSpan(text: string): number | undefined {
  const parts = /^(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?$/.exec(text);
  if (!parts || text === "") return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}
