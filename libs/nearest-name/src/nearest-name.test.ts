import { expect, it } from "vitest";
import { didYouMean } from "./nearest-name.ts";

it("finds the name that was meant, and none where none is near", () => {
  const known = ["model", "modelParameters", "instructions", "launcher"];
  expect(didYouMean("instuctions", known)).toBe('did you mean "instructions"?');
  expect(didYouMean("model_parameters", known)).toBe('did you mean "modelParameters"?');
  expect(didYouMean("zzz", known, "else")).toBe("else");
});
