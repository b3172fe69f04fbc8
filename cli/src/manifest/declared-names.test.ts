import { expect, it } from "vitest";
import { readDeclaredNames } from "./declared-names.ts";

it("reads names of variables and paths of skills, with their places", () => {
  const text = `environment: [REGION, "TIER", 7, "not a name", {a: 1}]
skills:
  report: { path: ./skills/report, agents: "*" }
  stored: { digest: "sha256:x" }
  other: &other
    path: other.zip
  again: *other
`;
  expect(readDeclaredNames(text)).toEqual({
    variables: ["REGION", "TIER"],
    skillPaths: [
      { id: "report", path: "./skills/report", line: 3, column: 19 },
      { id: "other", path: "other.zip", line: 6, column: 11 },
      { id: "again", path: "other.zip", line: 6, column: 11 },
    ],
  });
});

it.each([
  ["nothing", ""],
  ["a list", "- environment"],
  ["other types", "environment: { HOME: 1 }\nskills: [a, b]"],
  ["a text that is no YAML", "skills: {a: {path: x\nenvironment: ]["],
  ["an alias of itself", "skills: &a { x: *a }\nenvironment: *b"],
  ["what is nested too deep", `environment: ${"[".repeat(30_000)}`],
  ["a skill with an id that no message could carry", `skills: { ${"a".repeat(65)}: { path: x } }`],
])("finds none in %s, and does not fail", (_, text) => {
  expect(readDeclaredNames(text)).toEqual({ variables: [], skillPaths: [] });
});

it("does not unfold aliases that stand for aliases", () => {
  const levels = Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]`);
  expect(readDeclaredNames(`a0: &a0 [x]\n${levels.join("\n")}\nenvironment: *a30\n`).variables).toEqual([]);
});

it("reads JSON", () => {
  expect(readDeclaredNames('{"environment":["A"],"skills":{"s":{"path":"p"}}}')).toMatchObject({
    variables: ["A"],
    skillPaths: [{ id: "s", path: "p", line: 1, column: 44 }],
  });
});
