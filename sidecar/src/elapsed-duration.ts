import { create } from "@bufbuild/protobuf";
import { DurationSchema, type Duration } from "@bufbuild/protobuf/wkt";

/** A span of milliseconds as a Duration, to the microsecond. Negative spans, which a clock never measures, count as none. */
export function elapsedDuration(milliseconds: number): Duration {
  const micros = Math.max(0, Math.round(milliseconds * 1000));
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(micros / 1_000_000)),
    nanos: (micros % 1_000_000) * 1000,
  });
}
