import { toBinary } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { elapsedDuration } from "./elapsed-duration.ts";

test.each([
  [0, 0n, 0],
  [1.04939500001, 0n, 1_049_000],
  [999.9999, 1n, 0],
  [61_250.5, 61n, 250_500_000],
  [-3, 0n, 0],
])("%d ms", (milliseconds, seconds, nanos) => {
  const duration = elapsedDuration(milliseconds);
  expect(duration).toMatchObject({ seconds, nanos });
  expect(toBinary(DurationSchema, duration)).toBeInstanceOf(Uint8Array);
});
