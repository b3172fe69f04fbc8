import { permissionDenied } from "@openhermit/errors";
import { describe, expect, test } from "vitest";

import { addressGroup } from "@openhermit/caller";
import { createAttemptLimits } from "./attempt-limits.ts";

const always = () => true;

describe("attempt limits", () => {
  test("refuse an address after its failures, for a while, and no other address and kind", () => {
    let now = 0;
    const limits = createAttemptLimits({ now: () => now });
    for (let failure = 0; failure < 10; failure += 1) {
      expect(limits.admit("login", "192.0.2.1")).toBeUndefined();
      limits.failed("login", "192.0.2.1");
    }
    now = 200_500;
    expect(limits.admit("login", "192.0.2.1")).toMatchObject({
      code: "resource_exhausted",
      reason: "ATTEMPTS_LIMITED",
      fields: { retry_after_seconds: "400" },
    });
    expect(limits.admit("login", "::ffff:192.0.2.1")).toBeDefined();
    expect(limits.admit("login", "192.0.2.2")).toBeUndefined();
    expect(limits.admit("setup", "192.0.2.1")).toBeUndefined();
    now = 600_001;
    expect(limits.admit("login", "192.0.2.1")).toBeUndefined();
    limits.failed("login", "192.0.2.1");
    expect(limits.admit("login", "192.0.2.1")).toBeUndefined();
  });

  test("give no more guesses to who makes them all at once, and all of them to who is right", async () => {
    const limits = createAttemptLimits();
    let guesses = 0;
    const guess = (right: boolean) =>
      limits
        .attempt(
          "login",
          "192.0.2.1",
          async () => {
            guesses += 1;
            await new Promise(setImmediate);
            if (!right) throw permissionDenied("LOGIN_FAILED", "no");
          },
          always,
        )
        .then(
          () => "in",
          (error: { reason: string }) => error.reason,
        );
    expect(await Promise.all(Array.from({ length: 50 }, () => guess(true)))).toEqual(Array(50).fill("in"));
    guesses = 0;
    const answers = await Promise.all(Array.from({ length: 50 }, () => guess(false)));
    expect(guesses).toBe(10);
    expect(answers.filter((answer) => answer === "LOGIN_FAILED")).toHaveLength(10);
    expect(answers.filter((answer) => answer === "ATTEMPTS_LIMITED")).toHaveLength(40);
  });

  test("count no failure that is none, and pass it on", async () => {
    const limits = createAttemptLimits();
    for (let round = 0; round < 30; round += 1) {
      const away = limits.attempt(
        "setup",
        "192.0.2.1",
        () => Promise.reject(new Error("away")),
        () => false,
      );
      await expect(away).rejects.toThrow("away");
    }
    expect(limits.admit("setup", "192.0.2.1")).toBeUndefined();
  });

  test("keep no more addresses than they have room for", () => {
    const limits = createAttemptLimits();
    for (let failure = 0; failure < 60; failure += 1) limits.failed("token", "192.0.2.1");
    expect(limits.admit("token", "192.0.2.1")).toBeDefined();
    for (let host = 0; host < 10_000; host += 1) limits.failed("token", `10.0.${host >> 8}.${host & 255}`);
    expect(limits.admit("token", "192.0.2.1")).toBeUndefined();
  });
});

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0DB8:1:2::9", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["", ""],
])("the address %s counts as %s", (address, group) => expect(addressGroup(address)).toBe(group));
