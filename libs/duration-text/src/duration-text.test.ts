import { create } from "@bufbuild/protobuf";
import { DurationSchema, durationMs } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { DURATION_PATTERN, durationText, parseDurationText } from "./duration-text.ts";

it("reads durations and refuses what is none", () => {
  const read = (text: string): number | undefined => {
    const duration = parseDurationText(text);
    expect(new RegExp(DURATION_PATTERN).test(text)).toBe(duration !== undefined);
    return duration && durationMs(duration);
  };
  const texts = ["30s", "2m", "1h30m", "1.5s", "500ms", "1m1ms", "0s"];
  expect(texts.map(read)).toEqual([30_000, 120_000, 5_400_000, 1500, 500, 60_001, 0]);
  const none = ["", "30", "s", "-1s", "1s2m", "1 s", "1d", "1.s", "1.0000000001s", "1h1"];
  expect(none.map(read)).toEqual(none.map(() => undefined));
});

it("writes durations in their largest unit, and so that they read back the same", () => {
  const text = (seconds: number, nanos = 0): string =>
    durationText(create(DurationSchema, { seconds: BigInt(seconds), nanos }));
  expect([text(30), text(90), text(120), text(3600), text(5400), text(0), text(86_400)]).toEqual([
    "30s",
    "90s",
    "2m",
    "1h",
    "90m",
    "0s",
    "24h",
  ]);
  expect([text(1, 500_000_000), text(0, 250_000_000), text(0, 1), text(90, 1000)]).toEqual([
    "1.5s",
    "250ms",
    "0.000000001s",
    "90.000001s",
  ]);
  fc.assert(
    fc.property(fc.nat(86_400), fc.nat(999_999_999), (seconds, nanos) => {
      expect(parseDurationText(text(seconds, nanos))).toMatchObject({ seconds: BigInt(seconds), nanos });
    }),
  );
});
