import { expect, it } from "vitest";
import { parseDurationText } from "./duration-text.ts";
import { didYouMean } from "./nearest-name.ts";

it("reads durations and refuses what is none", () => {
  const read = ["30s", "2m", "1h30m", "1.5s", "500ms", "1m1ms"].map(parseDurationText);
  expect(read).toEqual([30_000, 120_000, 5_400_000, 1500, 500, 60_001]);
  expect(["", "30", "s", "-1s", "1s2m", "1 s", "1d"].map(parseDurationText)).toEqual(Array(7).fill(undefined));
});

it("finds the name that was meant, and none where none is near", () => {
  const known = ["model", "modelParameters", "instructions", "launcher"];
  expect(didYouMean("instuctions", known)).toBe('did you mean "instructions"?');
  expect(didYouMean("model_parameters", known)).toBe('did you mean "modelParameters"?');
  expect(didYouMean("zzz", known, "else")).toBe("else");
});
