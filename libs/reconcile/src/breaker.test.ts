import { expect, test } from "vitest";
import { createBreaker } from "./breaker.ts";

function breakerAt(): { breaker: ReturnType<typeof createBreaker>; pass(ms: number): void } {
  let time = 0;
  const breaker = createBreaker({ failures: 3, windowMs: 1000, openMs: 500, now: () => time });
  return { breaker, pass: (ms) => (time += ms) };
}

test("opens after the failures of a window, and failures outside of it do not count", () => {
  const { breaker, pass } = breakerAt();
  breaker.failed();
  breaker.failed();
  pass(1001);
  breaker.failed();
  expect(breaker.state()).toBe("closed");
  breaker.failed();
  breaker.failed();
  expect(breaker.state()).toBe("open");
  expect(breaker.allow()).toBe(false);
});

test("half-open lets exactly one try through; it decides", () => {
  const { breaker, pass } = breakerAt();
  for (let i = 0; i < 3; i++) breaker.failed();
  pass(500);
  expect([breaker.allow(), breaker.allow()]).toEqual([true, false]);
  breaker.failed();
  expect(breaker.state()).toBe("open");
  pass(500);
  expect(breaker.allow()).toBe(true);
  breaker.succeeded();
  expect(breaker.state()).toBe("closed");
  expect(breaker.allow()).toBe(true);
});
