import { expect, test } from "vitest";
import { harmlessLine, harmlessText } from "./harmless-text.ts";

test("control characters, forged lines and turned text become one visible character each", () => {
  const nasty = "a\0b\u001B[2Jc\r\nd\te\u0085f\u202Eg\u2028h\u007F";
  expect(harmlessLine(nasty, 100)).toBe("a\uFFFDb\uFFFD[2Jc\uFFFD\uFFFDd\uFFFDe\uFFFDf\uFFFDg\uFFFDh\uFFFD");
  expect(harmlessText(nasty, 100)).toBe("a\uFFFDb\uFFFD[2Jc\uFFFD\nd\te\uFFFDf\uFFFDg\uFFFDh\uFFFD");
  expect(harmlessLine("größe 🦀 משהו", 100)).toBe("größe 🦀 משהו");
});

test("a long text is cut, and not in the middle of a character", () => {
  expect(harmlessText("x".repeat(1024), 1024)).toBe("x".repeat(1024));
  expect(harmlessText("x".repeat(5000), 1024)).toBe(`${"x".repeat(1023)}…`);
  expect(harmlessText("🦀".repeat(10), 10)).toBe("🦀🦀🦀🦀…");
});

test("half a character is none", () => {
  expect(harmlessLine("a\uD800b", 10)).toBe("a\uFFFDb");
});
