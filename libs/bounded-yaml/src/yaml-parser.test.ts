import { LineCounter } from "yaml";
import { expect, test } from "vitest";
import { createYamlParser, type YamlResult } from "./yaml-parser.ts";

const BOUNDS = { maxDepth: 16, maxTokens: 100_000 };
const parse = (text: string, bounds = BOUNDS): YamlResult =>
  createYamlParser(bounds).parse(text, { lineCounter: new LineCounter() });
const errorsOf = (text: string): string[] => {
  const result = parse(text);
  return result.kind === "document" ? result.document.errors.map(({ message }) => message) : [result.kind];
};

test("a document is what the library makes of it, with the places of its lines", () => {
  const lineCounter = new LineCounter();
  const result = createYamlParser(BOUNDS).parse("a: [1, {b: c}]\nd: |\n  e\n", { lineCounter });
  expect(result.kind === "document" && result.document.toJS()).toEqual({ a: [1, { b: "c" }], d: "e\n" });
  expect(lineCounter.linePos(15)).toEqual({ line: 2, col: 1 });
  expect(errorsOf("")).toEqual([]);
  expect(errorsOf("a: 1\n---\nb: 2\n---\nc: 3\n")).toEqual(["the text has more than one document"]);
});

test.each([
  ["[", 40],
  ["- ", 40],
  ["? ", 40],
  ["a: ", 40],
  ["{a: ", 40],
  ["[", 50_000],
  ["- ", 40_000],
])("%j is read 16 deep, and refused %i deep", (open, depth) => {
  expect(parse(`${open.repeat(15)}x`).kind).toBe("document");
  expect(parse(`${open.repeat(depth)}x`)).toMatchObject({ kind: "too deep", offset: expect.any(Number) });
});

test("of many errors the first hundred are kept, whoever finds them", () => {
  for (const text of ["}".repeat(50_000), `[${",".repeat(50_000)}]`, "@a\n".repeat(10_000), '"" '.repeat(10_000)]) {
    const found = errorsOf(text);
    expect(found.length).toBeGreaterThan(0);
    expect(found.length).toBeLessThanOrEqual(201);
  }
});

test("tokens are counted over all texts", () => {
  const parser = createYamlParser({ maxDepth: 16, maxTokens: 20 });
  const lineCounter = new LineCounter();
  expect(parser.parse("a: b\n", { lineCounter }).kind).toBe("document");
  expect(parser.parse("a: b\nc: d\ne: f\n", { lineCounter }).kind).toBe("too long");
});
