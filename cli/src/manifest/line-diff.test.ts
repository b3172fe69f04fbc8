import { expect, it } from "vitest";
import { diffLines } from "./line-diff.ts";

const text = (lines: ReturnType<typeof diffLines>): string => lines.map((line) => line.sign + line.text).join(" ");

it.each([
  ["", "", ""],
  ["a", "a", " a"],
  ["", "a b", "+a +b"],
  ["a b", "", "-a -b"],
  ["a b c d", "a x c d", " a -b +x  c  d"],
  ["a b c", "b c d", "-a  b  c +d"],
  ["a a a", "a a", " a  a -a"],
])("leads from %j to %j", (before, after, expected) => {
  const lines = (words: string): string[] => words.split(" ").filter(Boolean);
  expect(text(diffLines(lines(before), lines(after)))).toBe(expected);
});

it("loses and invents no line, whatever the texts", () => {
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 300; round += 1) {
    const lines = (): string[] => Array.from({ length: random(12) }, () => "abcd".charAt(random(4)));
    const before = lines();
    const after = lines();
    const found = diffLines(before, after);
    expect(found.filter(({ sign }) => sign !== "+").map((line) => line.text)).toEqual(before);
    expect(found.filter(({ sign }) => sign !== "-").map((line) => line.text)).toEqual(after);
  }
});
