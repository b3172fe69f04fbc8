import { expect, test } from "vitest";
import { isAgentId } from "./ids.ts";
import { isUuid, newUuidV7 } from "./uuid-v7.ts";

test("ids of one process are unique, ordered and version 7", () => {
  const ids = Array.from({ length: 20_000 }, () => newUuidV7());
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  for (const id of ids.slice(0, 100)) {
    expect(isUuid(id)).toBe(true);
    expect(id[14]).toBe("7");
    expect("89ab").toContain(id[19]);
  }
});

test("the first 48 bits are the time of making", () => {
  const before = Date.now();
  const millis = Number.parseInt(newUuidV7().replaceAll("-", "").slice(0, 12), 16);
  // The run before may have borrowed a few milliseconds from the future.
  expect(millis).toBeGreaterThanOrEqual(before);
  expect(millis).toBeLessThan(before + 1000);
});

test.each([
  ["one", true],
  ["a-1", true],
  ["a".repeat(63), true],
  ["a".repeat(64), false],
  ["", false],
  ["1a", false],
  ["a-", false],
  ["A", false],
  ["a:b", false],
  ["*", false],
  ["__proto__", false],
])("agent id %j: %s", (id, valid) => expect(isAgentId(id)).toBe(valid));
