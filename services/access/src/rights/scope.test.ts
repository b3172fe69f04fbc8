import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Scope } from "../principal.ts";
import { RESOURCES } from "./resources.ts";
import { formatScope, isCovered, opensOn, parseScope, parseScopes, plainScopes, splitScope } from "./scope.ts";

const refusal = (text: string): { reason?: string; hint?: string } => {
  try {
    parseScope(text);
    return {};
  } catch (error) {
    return error as { reason: string; hint: string };
  }
};

/** Any scope that may be given to a token. */
const anyScope = fc.oneof(
  fc.constantFrom("read", "write").map((verb): Scope => ({ resource: "*", selector: "", verb: verb as "read" })),
  fc
    .tuple(fc.constantFrom(...plainScopes()), fc.constantFrom("", "one", "one2", "two"))
    .map(([scope, selector]): Scope => {
      return { ...scope, selector: RESOURCES.get(scope.resource)?.selector === "" ? "" : selector };
    }),
);
const anyNeed = fc.record({
  resource: fc.constantFrom(...[...RESOURCES.keys()].filter((name) => RESOURCES.get(name)?.byScope === "yes")),
  verb: fc.constantFrom("read" as const, "write" as const),
  id: fc.constantFrom("", "one", "one2", "two"),
});

describe("a scope", () => {
  it("is read and written alike", () => {
    fc.assert(
      fc.property(anyScope, (scope) => {
        expect(parseScope(formatScope(scope))).toEqual(scope);
      }),
    );
    expect(parseScopes(["sessions:one:write", "agents:read", "agents:read"]).map(formatScope)).toEqual([
      "agents:read",
      "sessions:one:write",
    ]);
  });

  it("opens exactly what it names: one is not one2", () => {
    const one = parseScope("agents:one:read");
    expect(opensOn(one, "agents", "read", "one")).toBe(true);
    for (const id of ["one2", "on", "", "*", "One", "one:"]) expect(opensOn(one, "agents", "read", id)).toBe(false);
    expect(opensOn(one, "sessions", "read", "one")).toBe(false);
    expect(opensOn(one, "agents", "write", "one")).toBe(false);
    expect(opensOn(parseScope("agents:one:write"), "agents", "read", "one")).toBe(true);
  });

  it("that others cover opens nothing that they don't", () => {
    fc.assert(
      fc.property(anyScope, fc.array(anyScope, { maxLength: 4 }), anyNeed, (scope, by, { resource, verb, id }) => {
        if (!isCovered(scope, by) || !opensOn(scope, resource, verb, id)) return;
        expect(by.some((other) => opensOn(other, resource, verb, id))).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(isCovered(parseScope("agents:read"), [parseScope("agents:one:write")])).toBe(false);
    expect(isCovered(parseScope("*:read"), plainScopes())).toBe(false);
    expect(isCovered(parseScope("agents:one:read"), [parseScope("*:write")])).toBe(true);
  });

  it.each([
    ["agent:read", "Did you mean agents:read?"],
    ["agents:raed", "Did you mean agents:read?"],
    ["agents", "Did you mean agents:read?"],
    ["activity:write", "Did you mean activity:read?"],
    ["metrics:one:read", "try metrics:read"],
    ["*:one:read", "try *:read"],
    ["agents:*:read", "agents:read"],
    ["self:read", "Every token may use self"],
    ["host:write", "Only the local operator"],
    ["agents:one:two:read", "resource[:selector]:verb"],
    ["agents::read", "resource[:selector]:verb"],
    ["agents:one two:read", "resource[:selector]:verb"],
    ["constructor:read", "resource[:selector]:verb"],
    [":read", "resource[:selector]:verb"],
    ["", "resource[:selector]:verb"],
  ])("%j is unknown, and the hint helps", (text, hint) => {
    expect(refusal(text)).toMatchObject({ reason: "SCOPE_UNKNOWN", hint: expect.stringContaining(hint) as string });
  });

  it("of another version, stored, opens nothing", () => {
    const future = splitScope("skills:one:read");
    expect(future).toEqual({ resource: "skills", selector: "one", verb: "read" });
    expect(splitScope("agents:one:delete")).toBeUndefined();
  });
});
