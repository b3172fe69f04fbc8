import { expect, test } from "vitest";

import { nextPath } from "./next-path.ts";

test.each(["/", "/?page_token=a%20b", "/cli-login?challenge=x&port=1", "/agents/one"])("%s is kept", (path) => {
  expect(nextPath(path)).toBe(path);
});

test.each([
  "",
  "https://evil.example/",
  "//evil.example",
  "/\\evil.example",
  "\\\\evil.example",
  "/\t/evil.example",
  "/\n/evil.example",
  "/.//evil.example",
  "/x/..//evil.example",
  "/%0d%0aset-cookie:x\r\n",
  "javascript:alert(1)",
  "evil.example",
  "@evil.example",
  "/é",
  "/login?next=/login",
  "/logout",
  "/login/oidc",
  `/${"x".repeat(2_000)}`,
])("%j becomes the front page", (path) => {
  expect(nextPath(path)).toBe("/");
});
