import { expect, it } from "vitest";
import { wrapWords } from "./wrap-words.ts";

it("breaks between words, indents what follows, and never breaks a word", () => {
  expect(wrapWords("one two three", 80)).toEqual(["one two three"]);
  expect(wrapWords("one two three", 9, "- ", "  ")).toEqual(["- one two", "  three"]);
  expect(wrapWords("a https://a.very.long/one b", 6)).toEqual(["a", "https://a.very.long/one", "b"]);
  expect(wrapWords("", 6)).toEqual([""]);
});
