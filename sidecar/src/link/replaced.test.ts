import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { isReplaced } from "./replaced.ts";

test("the gateway's ABORTED replaces", () => {
  expect(isReplaced(new ConnectError("a newer attach has taken over", Code.Aborted))).toBe(true);
  expect(isReplaced(new ConnectError("away", Code.Unavailable))).toBe(false);
});

test("a connection that is reset, as by the kill of a gateway, does not, although Connect gives it the same code", () => {
  const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
  expect(isReplaced(new ConnectError("read ECONNRESET", Code.Aborted, undefined, undefined, reset))).toBe(false);
});
