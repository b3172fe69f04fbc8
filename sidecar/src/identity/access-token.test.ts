import { testLog, waitFor } from "@openhermit/testing";
import { expect, test } from "vitest";

import { createAccessTokens } from "./access-token.ts";

test.each([
  [0, 0.45],
  [0.999, 0.55],
])("renews at half of the life, give or take 10 %% (random %d)", async (random, share) => {
  const lifetimeMs = 400;
  const asked: number[] = [];
  const enrollment = {
    async issueToken() {
      asked.push(performance.now());
      return { accessToken: `token ${asked.length}`, lifetimeMs };
    },
  };
  const tokens = createAccessTokens({ enrollment, log: testLog(), random: () => random });
  expect(await tokens.get(new AbortController().signal)).toBe("token 1");
  await waitFor(() => asked.length === 2, { what: "a renewal" });
  tokens.stop();
  const [first = 0, second = 0] = asked;
  expect(second - first).toBeGreaterThanOrEqual(lifetimeMs * share - 2);
});

test("asks once for many, gives the same token until it is old or refused", async () => {
  let asked = 0;
  const enrollment = {
    async issueToken() {
      asked += 1;
      return { accessToken: `token ${asked}`, lifetimeMs: 60_000 };
    },
  };
  const tokens = createAccessTokens({ enrollment, log: testLog() });
  const { signal } = new AbortController();
  expect(await Promise.all([tokens.get(signal), tokens.get(signal)])).toEqual(["token 1", "token 1"]);
  expect(await tokens.get(signal)).toBe("token 1");
  tokens.invalidate();
  expect(await tokens.get(signal)).toBe("token 2");
  tokens.stop();
});

test("a token that is about to end is not given out: a new one is asked for, and its failure is the answer", async () => {
  let asked = 0;
  const enrollment = {
    async issueToken() {
      asked += 1;
      if (asked > 1) throw new Error("the gateway is away");
      return { accessToken: "token", lifetimeMs: 10_200 };
    },
  };
  const tokens = createAccessTokens({ enrollment, log: testLog(), random: () => 0 });
  const { signal } = new AbortController();
  expect(await tokens.get(signal)).toBe("token");
  const failure = await waitFor(() => tokens.get(signal).then(() => undefined, String), {
    what: "the token to be old",
  });
  expect(failure).toContain("the gateway is away");
  tokens.stop();
});
