import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ChangeAction, ChangeSchema, type FieldChangeSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { createTerminal, type Terminal } from "../output/terminal.ts";
import { changeLines } from "./plan-text.ts";

type Field = MessageInitShape<typeof FieldChangeSchema>;

function terminal(columns?: number, color: "always" | "never" = "never"): Terminal {
  const stdout = Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns });
  return createTerminal({ stdout, stderr: new PassThrough(), color, noColor: false });
}

const lines = (fields: Field[], action: ChangeAction = ChangeAction.UPDATE, shownOn = terminal()): string[] =>
  changeLines(shownOn, [create(ChangeSchema, { action, resourceType: "agent", resourceId: "one", fields })]).slice(1);

it("aligns values, and does not let a long path move the others", () => {
  const long = "env.A_VARIABLE_WITH_A_NAME_THAT_IS_VERY_LONG_INDEED";
  expect(
    lines([
      { path: "model", before: "a/b", after: "c/d" },
      { path: "turnLimits.timeout", before: "", after: "5m" },
      { path: "team", before: "red", after: "" },
      { path: long, before: "(sensitive)", after: "(sensitive)", sensitive: true },
    ]),
  ).toEqual([
    "    model:              a/b → c/d",
    "    turnLimits.timeout: (not set) → 5m",
    "    team:               red → (not set)",
    `    ${long}: (sensitive) → (sensitive)`,
  ]);
});

it("shows of a text only the lines that differ, each with its neighbours", () => {
  const before = Array.from({ length: 30 }, (_, index) => `line ${index + 1}`);
  const after = before.with(4, "line five").toSpliced(20, 1).concat("line 31");
  const text = (list: string[]): string => `${list.join("\n")}\n`;
  expect(lines([{ path: "instructions", before: text(before), after: text(after) }])).toEqual([
    "    instructions:",
    "        line 4",
    "      - line 5",
    "      + line five",
    "        line 6",
    "        ⋮",
    "        line 20",
    "      - line 21",
    "        line 22",
    "        ⋮",
    "        line 30",
    "      + line 31",
  ]);
});

it("shows what would be invisible: spaces at the end, tabs, escapes, marks that reorder, a missing line end", () => {
  expect(lines([{ path: "instructions", before: "a\nb\n", after: "a\nb  \n" }])).toEqual([
    "    instructions:",
    "        a",
    "      - b",
    "      + b··",
  ]);
  expect(lines([{ path: "instructions", before: "a\nb\n", after: "a\nb" }])).toEqual([
    "    instructions:",
    "        (the last line has no longer a line end)",
  ]);
  expect(lines([{ path: "x", before: "a\u001b[2Jb", after: " a\tb\u202e\u200b" }])).toEqual([
    '    x: a\\u001b[2Jb → " a\\tb\\u202e\\u200b"',
  ]);
});

it("cuts long values so that what differs can be seen, in the width of the terminal", () => {
  const same = "word ".repeat(60);
  const shown = lines([{ path: "args", before: `${same}old end`, after: `${same}new end` }], undefined, terminal(80));
  expect(shown).toEqual(["    args: …word word word word old end", "        → …word word word word new end"]);
  const far = "word ".repeat(40);
  const [one = "", other = ""] = lines(
    [{ path: "args", before: `a${far}b${same}.`, after: `b${far}c${same}.` }],
    undefined,
    terminal(80),
  );
  // Both differences are there, although they are far from each other.
  expect(one).toMatch(/^ {4}args: a(word ){40}bword word word word …$/);
  expect(other).toMatch(/^ {8}→ b(word ){40}cword word word word …$/);
  const nothingInCommon = lines([{ path: "x", before: "a".repeat(2000), after: "b" }], undefined, terminal(80));
  expect(nothingInCommon[0]).toMatch(/^ {4}x: a{291}…$/);
});

it("cuts long lines of a text so that what differs can be seen", () => {
  const same = "word ".repeat(60);
  const before = `first\n${same}old\n${same}gone\n`;
  const after = `first\n${same}new\n${same}gone.\nadded\n`;
  expect(lines([{ path: "instructions", before, after }], undefined, terminal(80)).slice(2)).toEqual([
    "      - …word word word word old",
    "      - … word word word gone",
    "      + …word word word word new",
    "      + … word word word gone.",
    "      + added",
  ]);
});

it("shortens digests", () => {
  const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
  expect(lines([{ path: "digest", before: digest("a"), after: digest("b") }])).toEqual([
    `    digest: sha256:${"a".repeat(12)} → sha256:${"b".repeat(12)}`,
  ]);
});

it("shows of what comes or goes its values, and of a text the first line and how many there are", () => {
  const fields = (side: "before" | "after"): Field[] => [
    { path: "model", [side]: "a/b" },
    { path: "instructions", [side]: "You help.\nBe short.\n" },
  ];
  const shown = ["    model:        a/b", "    instructions: You help. (2 lines)"];
  expect(lines(fields("after"), ChangeAction.CREATE)).toEqual(shown);
  expect(lines(fields("before"), ChangeAction.DELETE)).toEqual(shown);
});

it("never prints more than a screen of one text, and compares very long ones without taking for ever", () => {
  const text = (word: string): string => Array.from({ length: 20_000 }, (_, index) => `${word} ${index}`).join("\n");
  const shown = lines([{ path: "instructions", before: text("a"), after: text("b") }]);
  expect(shown.length).toBeLessThan(50);
  expect(shown.at(-1)).toBe("        … and 39960 more lines that differ");
});

it("says nothing of the resource that could look like another line", () => {
  const change = create(ChangeSchema, {
    action: ChangeAction.DELETE,
    resourceType: "agent",
    resourceId: "a\n+ agent b",
  });
  expect(changeLines(terminal(), [change])).toEqual(["- agent a\\n+ agent b"]);
});

it("colours signs on a terminal", () => {
  const shown = changeLines(terminal(80, "always"), [
    create(ChangeSchema, { action: ChangeAction.CREATE, resourceType: "defaults", resourceId: "defaults" }),
  ]);
  expect(shown).toEqual(["\u001b[32m+ defaults\u001b[39m"]);
});
