import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { ageText, parseSince, parseSpan, untilText, wholeSpanText } from "./time-text.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;

it("says how long ago in whole units, and how long still rounded", () => {
  const ago = (ms: number) => ageText(timestampFromMs(NOW - ms), NOW);
  const still = (ms: number) => untilText(timestampFromMs(NOW + ms), NOW);
  expect([ago(-5), ago(59_999), ago(HOUR - 1), ago(47 * HOUR)]).toEqual(["0s", "59s", "59m", "1d"]);
  // What was made a moment ago for 7 days lasts 7 days.
  expect([still(7 * 24 * HOUR - 40), still(12 * HOUR - 40), still(30 * 60_000 - 40)]).toEqual(["7d", "12h", "30m"]);
  expect([still(-5), still(400), still(59_700), still(24 * HOUR - 40)]).toEqual(["0s", "0s", "1m", "1d"]);
  expect([ageText(undefined), untilText(undefined)]).toEqual(["-", "-"]);
});

it("says a span in the largest unit that divides it", () => {
  expect([60, 90, 7200, 31_622_400, 0].map((seconds) => wholeSpanText(seconds))).toEqual([
    "1m",
    "90s",
    "2h",
    "366d",
    "0s",
  ]);
});

it("reads spans and moments, and nothing else", () => {
  expect([parseSpan("30d"), parseSpan("1h30m"), parseSpan("90s")]).toEqual([720 * HOUR, 1.5 * HOUR, 90_000]);
  expect(["", "d", "30", "1w", "-1d", "1m1h"].map((text) => parseSpan(text))).toEqual(Array(6).fill(undefined));
  expect(parseSince("2h", NOW)).toEqual(new Date(NOW - 2 * HOUR));
  expect(parseSince("2026-01-31T17:00Z")).toEqual(new Date("2026-01-31T17:00Z"));
  expect(parseSince("yesterday")).toBeUndefined();
});
