import { expect, it } from "vitest";
import { compileText } from "../test/compile-text.ts";

it("bounds aliases that multiply, aliases that contain themselves, and depth", () => {
  const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 9; i++) {
    const items = Array(10).fill(`*a${i - 1}`);
    bomb.push(`a${i}: &a${i} [${items.join(", ")}]`);
  }
  const started = process.memoryUsage().heapUsed;
  expect(compileText(bomb.join("\n")).lines.join()).toContain("too many values");
  expect(process.memoryUsage().heapUsed - started).toBeLessThan(200 * 1024 * 1024);
  expect(compileText("agents: &x { one: *x }").lines.join()).toContain("contains itself");
  for (const depth of [40, 400_000]) {
    expect(compileText("[".repeat(depth) + "]".repeat(depth)).lines.join()).toContain("nested too deeply");
  }
  const shared = "defaults: { model: offline/echo }\nagents: { one: &d { instructions: hi }, two: *d }";
  expect(compileText(shared).lines).toEqual([]);
});

it.each([
  ["closing brackets", "}".repeat(1_000_000), "unexpected"],
  ["commas", `[${",".repeat(1_000_000)}]`, "too many values"],
  ["quotes", '"" '.repeat(330_000), "unexpected"],
  ["opening brackets", "[".repeat(1_000_000), "nested too deeply"],
  ["keys of keys", "a: ".repeat(330_000), "nested too deeply"],
  ["dashes", "- ".repeat(500_000), "nested too deeply"],
  ["indentation", Array.from({ length: 1000 }, (_, i) => `${" ".repeat(i)}a:\n`).join(""), "nested too deeply"],
  ["lines", "a: b\n".repeat(200_000), "too many values"],
])("reads a MiB of %s without being held up", (_what, text, problem) => {
  const { lines } = compileText(text);
  expect(lines[0]).toContain(problem);
  expect(lines.length).toBeLessThanOrEqual(101);
});

it("bounds long texts that aliases repeat, and lets a long one stand once", () => {
  const agents = (count: number): string =>
    Array.from({ length: count }, (_, i) => `  a${i}: { instructions: *t }`).join("\n");
  const text = (count: number): string =>
    `defaults: { model: offline/echo }\nagents:\n  one: { instructions: &t "${"x".repeat(60_000)}" }\n${agents(count)}\n`;
  expect(compileText(text(10)).lines).toEqual([]);
  const { lines } = compileText(text(300));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^3:\d+ agents\.a\d+\.instructions: .*repeat too much text/);
});

it.each([
  ["NUL", '"a\\0b"', "the character NUL"],
  ["half of a character", '"\\ud83d"', "half of a character"],
])("refuses %s at its place, since it can't be stored", (_what, value, problem) => {
  const told = compileText(`agents:\n  one: { model: offline/echo, instructions: ${value} }\n`).lines;
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(/2:\d+ agents\.one\.instructions/);
  expect(told[0]).toContain(problem);
  expect(compileText(`agents: { one: { model: offline/echo, labels: { ${value}: x } } }`).lines[0]).toContain(problem);
});

it("keeps names of Object out of its way", () => {
  const names = compileText(
    "agents: { constructor: { model: offline/echo }, one: { toString: 1, __proto__: { model: x } } }",
  );
  expect(names.lines.filter((line) => line.includes("unknown key"))).toHaveLength(2);
  expect(({} as { model?: string }).model).toBeUndefined();
  expect(compileText("agents: { constructor: { model: offline/echo } }").agents[0]?.id).toBe("constructor");
  for (const section of ["agents", "providers", "skills", "mcpServers"]) {
    expect(compileText(`${section}: { __proto__: {} }`).lines[0]).toContain(`"__proto__" can't be a`);
  }
  const inMaps = "{ command: x, env: { __proto__: y }, agents: [] }";
  expect(compileText(`mcpServers: { a: ${inMaps} }`).lines).toEqual([
    '1:39 mcpServers.a.env.__proto__: "__proto__" can\'t be a name',
  ]);
  const bundles = JSON.parse(`{"a":"sha256:${"0".repeat(64)}"}`) as Record<string, string>;
  const skills = { text: "skills: { constructor: { path: ./x, agents: [] } }" };
  expect(compileText({ files: [skills], bundles }).lines[0]).toContain("its files were not sent");
});

it("takes 90,000 keys, known or not, in a time that grows no faster than they do", () => {
  const keys = (count: number, line: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => line(index)).join("\n");
  // A square of the number of keys would take minutes, and more than the time this test has.
  for (const text of [
    keys(90_000, (index) => `key-number-${index}: x`),
    `agents:\n${keys(30_000, (index) => `  agent-${index}:`)}`,
    `mcpServers:\n  a:\n    agents:\n${keys(30_000, (index) => `    - agnt-${index}`)}`,
    `agents:\n  one:\n    labels:\n${keys(30_000, (index) => `      l${index}:`)}`,
    keys(30_000, () => "x: 1"),
  ]) {
    const { problems } = compileText(text);
    expect(problems).toHaveLength(101);
    expect(problems.at(-1)?.message).toMatch(/^and \d+ more$/);
  }
}, 120_000);

it("refuses ids that are not plain, each with its place and the rule", () => {
  const ids = ["a:b", '"*"', "Über", "a b", "а", '"\\u202eone"', "-a", "a-", `a${"b".repeat(64)}`, '""', "👾", "ａ"];
  for (const section of ["agents", "mcpServers", "skills", "providers"]) {
    const text = `${section}:\n${ids.map((id) => `  ${id}: { agents: [] }`).join("\n")}`;
    const told = compileText(text).problems.filter(({ message }) => message.includes("can't be"));
    expect([section, new Set(told.map(({ at }) => at.line)).size]).toEqual([section, 12]);
    expect(told.every(({ at, message }) => at.column === 3 && message.includes("lower-case letters"))).toBe(true);
  }
});

it("tells wrong types, unknown keys and keys that stand twice", () => {
  const { lines, hints } = compileText(`
environment: REGION
agents: [one]
skills:
  a: { path: 7, agents: one, disabledAgents: "*" }
  b: { pth: ./b, agents: "*", digest: sha256:12 }
  c: text
mcpServers:
  d: { command: x, args: -y, env: [A], agents: { one: }, connectTimeout: 30, type: sse }
  e: { command: x, env: { A: {} , B: }, agents: [7, two], command: y }
`);
  expect(lines).toEqual([
    '2:14 environment: expected a list, found "REGION"',
    "3:9 agents: expected a mapping of names, found a list",
    "5:14 skills.a.path: expected text, found the number 7",
    '5:25 skills.a.agents: expected "*" or a list of agent ids',
    '5:46 skills.a.disabledAgents: expected a list, found "*"',
    '6:8 skills.b.pth: unknown key "pth"',
    "6:39 skills.b.digest: not the digest of a skill's files",
    '7:6 skills.c: expected a mapping, found "text"',
    '9:26 mcpServers.d.args: expected a list, found "-y"',
    "9:35 mcpServers.d.env: expected a mapping of names, found a list",
    '9:48 mcpServers.d.agents: expected "*" or a list of agent ids',
    "9:74 mcpServers.d.connectTimeout: expected a duration, found the number 30",
    '9:84 mcpServers.d.type: "sse" is not spoken: the Model Context Protocol has replaced it by streamable HTTP',
    "10:30 mcpServers.e.env.A: expected text, found a mapping",
    "10:38 mcpServers.e.env.B: expected text, found nothing",
    "10:50 mcpServers.e.agents[0]: expected text, found the number 7",
    '10:53 mcpServers.e.agents[1]: agent "two" does not exist',
    '10:59 mcpServers.e.command: "command" stands twice; the first is in line 10',
  ]);
  expect(hints["skills.b.pth"]).toBe('did you mean "path"?');
});
