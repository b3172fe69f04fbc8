import { create } from "@bufbuild/protobuf";
import { ManifestSchema } from "@openhermit/protocol/manifest/v1/manifest_service";
import { expect, it } from "vitest";
import { compileText } from "../test/compile-text.ts";
import { readManifestDocument } from "./manifest-document.ts";

it("reads several files as one, each with its own folder", () => {
  const { lines, defaults, agents, mcpServers } = compileText({
    files: [
      {
        name: "a.yaml",
        baseDirectory: "/a",
        text: "agents: { one: }\nmcpServers: { x: { command: ./x, agents: [two] } }",
      },
      { name: "b.yaml", baseDirectory: "/b", text: "defaults: { model: offline/echo }\nenvironment: [A]\nagents:" },
      { name: "empty.yaml", text: "# nothing yet\n" },
      {
        name: "c.json",
        baseDirectory: "/c",
        text: '{"environment":["B"],"agents":{"two":{}},"mcpServers":{"y":{"type":"stdio","command":"./y","args":["${A}"],"env":{"B":"${B}"},"agents":"*"}}}',
      },
    ],
    variables: { A: "1", B: "2" },
  });
  expect(lines).toEqual([]);
  expect(defaults?.spec?.model).toBe("offline/echo");
  expect(agents.map(({ id }) => id)).toEqual(["one", "two"]);
  expect(mcpServers.map(({ transport }) => transport.value)).toMatchObject([
    { command: "/a/x" },
    { command: "/c/y", args: ["1"], env: { B: "2" } },
  ]);
});

it("names both places of what stands in two files", () => {
  const { problems, lines } = compileText({
    files: [
      { name: "a.yaml", text: "defaults: { model: offline/echo }\nenvironment: [A]\nagents:\n  one: {}\nskills: []" },
      { name: "b.yaml", text: "agents:\n  two: {}\n  one: {}\ndefaults: {}\nenvironment: [A]\nskills: {}" },
      { name: "c.yaml", text: "- agents" },
    ],
  });
  expect(lines).toEqual([
    "a.yaml:5:9 skills: expected a mapping of names, found a list",
    'b.yaml:3:3 agents.one: "one" stands twice; the first is in a.yaml, line 4',
    'b.yaml:4:1 defaults: "defaults" stands twice; the first is in a.yaml, line 1',
    'b.yaml:5:15 environment[1]: "A" is declared twice',
    'b.yaml:6:1 skills: "skills" stands twice; the first is in a.yaml, line 5',
    "c.yaml:1:1 : expected a mapping",
  ]);
  expect(problems[1]?.at).toEqual({ file: 1, line: 3, column: 3 });
});

it("refuses two files of one name, and more than 3 MiB together", () => {
  const read = (files: { name: string; text: string }[]) => () =>
    readManifestDocument(create(ManifestSchema, { files }));
  const big = "#".repeat(1024 * 1024);
  expect(read(["a", "b", "a"].map((name) => ({ name, text: "agents:" })))).toThrow(
    expect.objectContaining({ reason: "MANIFEST_FILE_TWICE", code: "invalid_argument" }),
  );
  const three = ["a", "b", "c"].map((name) => ({ name, text: big }));
  expect(read(three)).not.toThrow();
  expect(read([...three, { name: "d", text: "é" }])).toThrow(
    expect.objectContaining({ reason: "MANIFEST_TOO_LARGE", fields: { bytes: String(3 * 1024 * 1024 + 2) } }),
  );
});

it("keeps one bound of values for all files, so that aliases in each don't add up", () => {
  const list = (item: string): string => `[${Array(100).fill(item).join(", ")}]`;
  const text = `a: &a ${list("x")}\nb: &b ${list("*a")}\nc: ${list("*a")}`;
  const files = Array.from({ length: 6 }, (_, index) => ({ name: `${index}.yaml`, text: text.replaceAll(/^/gm, "x") }));
  expect(compileText({ files: files.slice(0, 1) }).lines.join()).not.toContain("too many values");
  expect(compileText({ files }).lines.join()).toContain("the manifest has too many values");
});

it("is empty when all of its files are", () => {
  expect(compileText("# nothing").lines).toEqual(["1:1 : the manifest is empty"]);
  expect(compileText("~").lines).toEqual(["1:1 : the manifest is empty"]);
});
