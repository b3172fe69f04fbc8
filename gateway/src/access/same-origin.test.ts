import { expect, test } from "vitest";

import { isSameOrigin, originsOf } from "./same-origin.ts";

const own = originsOf(["https://mesh.example", "http://127.0.0.1:8780"]);

test("the gateway's own origins, and localhost for loopback", () => {
  expect(own).toEqual(["https://mesh.example", "http://127.0.0.1:8780", "http://localhost:8780"]);
  expect(originsOf(["http://[::1]:8780/path"])).toEqual(["http://[::1]:8780", "http://localhost:8780"]);
});

test.each<[boolean, Record<string, string>]>([
  [true, { origin: "https://mesh.example" }],
  [true, { origin: "http://localhost:8780" }],
  [true, { "sec-fetch-site": "same-origin" }],
  [false, {}],
  [false, { origin: "null" }],
  [false, { origin: "https://mesh.example.evil" }],
  [false, { origin: "http://mesh.example" }],
  [false, { origin: "https://mesh.example:8443" }],
  [false, { origin: "http://127.0.0.1:8781" }],
  [false, { origin: "https://evil.example", "sec-fetch-site": "same-origin" }],
  [false, { origin: "https://evil.example", host: "evil.example" }],
  [false, { "sec-fetch-site": "same-site" }],
  [false, { "sec-fetch-site": "none" }],
])("is %s for %o", (expected, headers) => expect(isSameOrigin(new Headers(headers), () => own)).toBe(expected));
