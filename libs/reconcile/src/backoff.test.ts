import { expect, test } from "vitest";
import { createBackoff } from "./backoff.ts";

test("delays double up to the bound and start again after a reset", () => {
  const backoff = createBackoff({ initialMs: 100, maxMs: 1000, jitter: 0 });
  expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
  backoff.reset();
  expect(backoff.next()).toBe(100);
  expect(backoff.attempts).toBe(1);
});

test("jitter keeps each delay within its share", () => {
  const low = createBackoff({ initialMs: 1000, maxMs: 60_000, random: () => 0 });
  const high = createBackoff({ initialMs: 1000, maxMs: 60_000, random: () => 0.999999 });
  expect(low.next()).toBe(750);
  expect(high.next()).toBe(1250);
});
