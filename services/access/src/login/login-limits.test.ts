import { MeshError } from "@openhermit/errors";
import { beforeEach, expect, test } from "vitest";
import { createLoginLimits, type CountedAttempt, type LoginLimits } from "./login-limits.ts";

const MINUTE_MS = 60_000;
let time: number;
let limits: LoginLimits;
beforeEach(() => {
  time = 1_000_000;
  limits = createLoginLimits(() => time);
});

const begin = (address: string, known = false, memberId = "alice"): CountedAttempt => {
  const attempt = limits.begin(memberId, address, known);
  if (attempt instanceof MeshError) throw attempt;
  return attempt;
};
const fail = (times: number, address: string, known = false): void => {
  for (let i = 0; i < times; i += 1) begin(address, known);
};

test("ten failures at an address close it for that member, until the first is 15 minutes old", () => {
  fail(1, "a");
  time += MINUTE_MS;
  fail(9, "a");
  expect(limits.begin("alice", "a", false)).toMatchObject({
    reason: "LOGIN_LIMITED",
    code: "resource_exhausted",
    fields: { retry_after_seconds: "840" },
  });
  begin("b");
  begin("a", false, "bob");
  time += 14 * MINUTE_MS;
  begin("a");
  expect(limits.begin("alice", "a", false)).toBeInstanceOf(MeshError);
});

test("thirty failures from anywhere close the member to strangers, and not to an address it has logged in from", () => {
  for (let i = 0; i < 30; i += 1) fail(1, `stranger ${i}`);
  expect(limits.begin("alice", "fresh", false)).toMatchObject({ reason: "LOGIN_LIMITED" });
  fail(10, "home", true);
  expect(limits.begin("alice", "home", true)).toMatchObject({ reason: "LOGIN_LIMITED" });
});

test("a login gives its address a new beginning, and takes nothing from what strangers have tried", () => {
  for (let i = 0; i < 29; i += 1) fail(1, `stranger ${i}`);
  begin("a").succeeded();
  fail(1, "a");
  expect(limits.begin("alice", "b", false)).toBeInstanceOf(MeshError);
});

test("what could not be checked does not count", () => {
  for (let i = 0; i < 100; i += 1) begin("a").undecided();
  expect(limits.begin("alice", "a", false)).not.toBeInstanceOf(MeshError);
});

test("attempts at once count before they are decided", () => {
  const attempts = Array.from({ length: 50 }, () => limits.begin("alice", "a", false));
  expect(attempts.filter((attempt) => attempt instanceof MeshError)).toHaveLength(40);
});
