import { describe, expect, it, test } from "vitest";
import { bareUrl, isOnlyReference, isPlainValue, isSecretName, secretReferences, withoutReferences } from "./index.ts";

describe("a secret's name", () => {
  it.each(["API_KEY", "A1_TOKEN", "MY_SECRET", "DB_PASSWORD", "KEYKEY"])("is %s", (name) => {
    expect(isSecretName(name)).toBe(true);
    expect(isOnlyReference(`\${secret.${name}}`)).toBe(true);
  });

  it.each(["", "KEY ", "api_key", "1_KEY", "HOME", "API_KEY_ID", "A-KEY", "OPENHERMIT_TOKEN", "API_KEY\n", "A.KEY"])(
    "is not %j",
    (name) => {
      expect(isSecretName(name)).toBe(false);
      expect(secretReferences(`\${secret.${name}}`)).toEqual([]);
    },
  );
});

test("references are found where they stand, and what only looks so is no reference", () => {
  const value = "a ${secret.A_KEY}${secret.B_TOKEN} ${secret.nope} ${A_KEY} ${secret.A_KEY";
  expect(secretReferences(value)).toEqual([
    { name: "A_KEY", text: "${secret.A_KEY}", index: 2 },
    { name: "B_TOKEN", text: "${secret.B_TOKEN}", index: 17 },
  ]);
  // What is put in their places is taken as it is.
  expect(withoutReferences(value, "$&")).toBe("a $&$& ${secret.nope} ${A_KEY} ${secret.A_KEY");
  expect(isOnlyReference(value)).toBe(false);
});

test.each([
  ["", false],
  ["${secret.A_KEY}", false],
  ["Bearer ${secret.A_KEY}", false],
  ["token ${secret.A_KEY}", false],
  ["x${secret.A_KEY}", true],
  ["Bearer abc", true],
  ["${secret.nope}", true],
])("%j may itself be secret: %s", (value, isPlain) => {
  expect(isPlainValue(value)).toBe(isPlain);
});

test.each([
  ["https://x/mcp", "https://x/mcp"],
  ["https://ann:pw@x:8/mcp?key=1#2", "https://x:8/mcp"],
  ["https://ann@x/", "https://x/"],
  ["no URL?key=1", "no URL?key=1"],
])("of %s %s is shown", (url, shown) => {
  expect(bareUrl(url)).toBe(shown);
});
