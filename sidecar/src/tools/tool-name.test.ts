import { expect, test } from "vitest";
import { createToolNamer } from "./tool-name.ts";
import { boundToolText } from "./tool-text.ts";

test("names are plain where they can be, valid always, and each is there once", () => {
  const tools = ["echo", "get.sum", "get_sum", "get sum", "x".repeat(200), `${"x".repeat(199)}y`, "übung", ""];
  const nameOf = createToolNamer("everything");
  const names = tools.map(nameOf);
  expect(names.slice(0, 2)).toEqual(["everything__echo", "everything__get_sum"]);
  expect(new Set(names).size).toBe(tools.length);
  for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
  const again = createToolNamer("everything");
  expect(tools.map(again)).toEqual(names);
});

test("a long text is cut at a character to the bytes allowed, and says so", () => {
  expect(boundToolText("äöü", 6)).toBe("äöü");
  const cut = boundToolText("ä".repeat(1000), 201);
  expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(201);
  expect(cut).toMatch(/^ä+\n\[cut: 2000 bytes, /);
  expect(boundToolText("😀".repeat(100_000)).isWellFormed()).toBe(true);
});
