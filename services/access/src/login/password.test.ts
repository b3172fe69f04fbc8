import { expect, test } from "vitest";
import { checkPassword } from "./password.ts";

test.each([
  ["short", "elevenchars"],
  ["one character", "a".repeat(30)],
  ["a short pattern", "abc1abc1abc1abc1"],
  ["the name", "constantine"],
  ["the name, twice", "constantineconstantine"],
  ["the name and little more", "Constantine123"],
  ["too long", `correct horse ${"battery".repeat(40)}`],
  ["far too long", "correct horse battery".repeat(100_000)],
])("refuses a password that is %s", (_, password) => {
  expect(() => checkPassword(password, "constantine")).toThrow(expect.objectContaining({ reason: "PASSWORD_WEAK" }));
});

test.each(["correct horse", "Zwölf Zeichen", "constantine rides on", "密码密码一二三四五六七八九十"])(
  "takes %j",
  (password) => expect(() => checkPassword(password, "constantine")).not.toThrow(),
);

test("never says the password", () => {
  try {
    checkPassword("hunter2", "alice");
    expect.unreachable();
  } catch (error) {
    expect(JSON.stringify([String(error), error])).not.toContain("hunter2");
  }
});
