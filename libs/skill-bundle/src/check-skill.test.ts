import { describe, expect, test } from "vitest";
import { MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES, type BundleFile } from "./bundle-file.ts";
import { checkSkill } from "./check-skill.ts";
import { skillBody } from "./skill-text.ts";

const GOOD = "---\nname: pdf-reading\ndescription: Reads PDFs.\n---\n\n# Steps\n";

const file = (path: string, content: string | Uint8Array = "x"): BundleFile => ({
  path,
  content: typeof content === "string" ? Buffer.from(content) : content,
  executable: false,
});
const skill = (text: string | Uint8Array, ...more: BundleFile[]): BundleFile[] => [file("SKILL.md", text), ...more];
const front = (...lines: string[]): BundleFile[] => skill(`---\n${lines.join("\n")}\n---\n`);
const said = (files: BundleFile[], name?: string): string[] =>
  checkSkill(files, name).problems.map(({ path, line, message, hint }) => `${path}:${line} ${message} | ${hint}`);

describe("a skill without problems", () => {
  test("is described by its front matter", () => {
    const { problems, description } = checkSkill(
      front(
        "name: pdf-reading",
        "description: >",
        "  Reads PDFs. Use it when",
        "  somebody sends one: any.",
        "license: Apache-2.0",
        "compatibility: Needs poppler",
        "metadata:",
        "  author: example",
        "  version: 1.0",
        "allowed-tools: Bash(git:*) Read",
      ),
      "pdf-reading",
    );
    expect(problems).toEqual([]);
    expect(description).toMatchObject({
      name: "pdf-reading",
      description: "Reads PDFs. Use it when somebody sends one: any.",
      license: "Apache-2.0",
      compatibility: "Needs poppler",
      metadata: { author: "example", version: "1.0" },
      allowedTools: "Bash(git:*) Read",
    });
  });

  test.each([
    ["as people write it", GOOD],
    ["with a byte order mark", `\uFEFF${GOOD}`],
    ["with CR LF", GOOD.replaceAll("\n", "\r\n")],
    ["with blanks after the dashes", GOOD.replaceAll("---", "---  ")],
  ])("is read %s", (_how, text) => {
    const files = skill(text, file("scripts/run.sh"), file("references/Ünïcode name.md"));
    const { problems, description } = checkSkill(files, "pdf-reading");
    expect(problems).toEqual([]);
    expect(description?.description).toBe("Reads PDFs.");
    expect(skillBody(files)).toBe("# Steps");
  });

  test("may have no body, an alias, and a text of exactly the bounds", () => {
    const text = [
      `name: ${"n".repeat(64)}`,
      `description: ${"🙂".repeat(1024)}`,
      `compatibility: ${"c".repeat(500)}`,
      "license: &l MIT",
      "metadata: {also: *l}",
    ];
    expect(said(front(...text))).toEqual([]);
    expect(checkSkill(front(...text)).description?.metadata).toEqual({ also: "MIT" });
    expect(skillBody(front(...text))).toBe("");
  });
});

describe("front matter", () => {
  test.each<[string, string | Uint8Array, string]>([
    ["none", "# Steps\n", "SKILL.md:1 the file has no front matter"],
    ["an empty file", "", "SKILL.md:1 the file has no front matter"],
    ["no end", "---\nname: x\n", "SKILL.md:1 the front matter has no end"],
    ["not UTF-8", Buffer.from([0x2d, 0x2d, 0x2d, 0x0a, 0xff, 0xfe]), "SKILL.md:0 the file is not valid UTF-8"],
    ["a list", "---\n- name\n---\n", "SKILL.md:2 the front matter is not a map"],
    ["a text", "---\nhello\n---\n", "SKILL.md:2 the front matter is not a map"],
  ])("%s is a problem", (_name, text, expected) => {
    const found = said(skill(text));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });

  test("an empty one lacks a name and a description", () => {
    expect(said(skill("---\n---\nbody"), "pdf")).toEqual([
      "SKILL.md:1 the front matter has no name | add name: pdf, as the folder is called",
      "SKILL.md:1 the front matter has no description | add description: …; say what the skill does and when to use it",
    ]);
  });

  test.each([
    ["", "name is empty"],
    ["PDF-Reading", 'the name "PDF-Reading" is not allowed'],
    ["-pdf", 'the name "-pdf" is not allowed'],
    ["pdf-", 'the name "pdf-" is not allowed'],
    ["pdf--reading", 'the name "pdf--reading" is not allowed'],
    ["pdf_reading", 'the name "pdf_reading" is not allowed'],
    ["größe", 'the name "größe" is not allowed'],
    ["../etc", 'the name "../etc" is not allowed'],
    ["n".repeat(65), "name has 65 characters, and at most 64 are allowed"],
    ["other", 'the name is "other" and the folder is called "pdf"'],
    ["[pdf]", "name is not a text"],
  ])("the name %j is a problem", (name, expected) => {
    const found = said(front(`name: ${name}`, "description: d"), name.length > 64 ? undefined : "pdf");
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`SKILL.md:2 ${expected}`);
  });

  test.each([
    ["description: ''", "SKILL.md:3 description is empty"],
    ["description: '   '", "SKILL.md:3 description is empty"],
    ["description:", "SKILL.md:3 description is empty"],
    [`description: ${"d".repeat(1025)}`, "SKILL.md:3 description has 1,025 characters, and at most 1,024 are allowed"],
    ["description: [a]", "SKILL.md:3 description is not a text"],
    ['description: "a\\0b"', "SKILL.md:3 description has a control character"],
    ['description: "a\\ud800b"', "SKILL.md:3 description has a control character or is not valid Unicode"],
    ["description: d\ncompatibility: ''", "SKILL.md:4 compatibility is empty"],
    [`description: d\ncompatibility: ${"c".repeat(501)}`, "SKILL.md:4 compatibility has 501 characters"],
    ["description: d\nlicense: {a: b}", "SKILL.md:4 license is not a text"],
    ["description: d\nallowed-tools: [Read, Grep]", "SKILL.md:4 allowed-tools is not a text | write one text"],
    ["description: d\nmetadata: text", "SKILL.md:4 metadata is not a map of texts"],
    ["description: d\nmetadata:\n  a: {b: c}", "SKILL.md:5 metadata.a is not a text"],
    ["description: d\nmetadata:\n  a: b\n  a: c", 'SKILL.md:6 the key "a" stands twice'],
    ["description: d\ndescription: e", 'SKILL.md:4 the key "description" stands twice'],
    ["description: d\n? [a, b]\n: c", "SKILL.md:4 a key of the front matter is not a text"],
    [
      "description: d\nallowed_tools: Read",
      'SKILL.md:4 the key "allowed_tools" is not one of the Agent Skills specification | did you mean "allowed-tools"?',
    ],
    ["description: d\nlicence: MIT", 'did you mean "license"?'],
    [
      "description: d\nversion: 1.0",
      'SKILL.md:4 the key "version" is not one of the Agent Skills specification | put it under metadata',
    ],
    [
      "description: Use it: always",
      "SKILL.md:3 the front matter is not valid YAML: Nested mappings are not allowed in compact mappings | put a value with a colon in it in quotes",
    ],
    ["description: *gone", "SKILL.md:3 description is not a text"],
    ["description: !!js/function 'x'", "SKILL.md:3 the front matter is not valid YAML: Unresolved tag"],
    ["description: d\n...\nmore: x", "not valid YAML"],
    ["description: 'd", "not valid YAML"],
  ])("%j is a problem", (text, expected) => {
    const found = said(front("name: pdf", text));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });

  test("every problem is told at once", () => {
    const found = said(front("name: PDF", "descripton: d", "metadata: [a]"), "pdf");
    expect(found).toHaveLength(4);
    expect(found.join("\n")).toMatch(/did you mean "description"/);
    expect(checkSkill(front("name: PDF"), "pdf").description).toBeUndefined();
  });

  test("what is made to exhaust a reader is refused quickly", () => {
    const laughs = ["a0: &a0 lol"];
    for (let i = 1; i < 30; i++) laughs.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}*a${i - 1}]`);
    expect(said(front("name: pdf", "description: d", ...laughs))).toHaveLength(30);
    expect(said(front(`name: ${"[".repeat(60_000)}`))).not.toEqual([]);
    expect(
      said(front("name: pdf", "description: d", ...Array.from({ length: 9000 }, (_, i) => `k${i}:`))),
    ).toHaveLength(9000);
    expect(said(front("name: pdf", `description: ${"d".repeat(70_000)}`))[0]).toContain("more than 64 KiB");
    // Looked up one by one they would take minutes.
    const aliases = Array.from({ length: 6000 }, (_, i) => `  ${i.toString(36)}: *x`);
    const { description } = checkSkill(front("name: pdf", "description: &x d", "metadata:", ...aliases));
    expect(Object.keys(description?.metadata ?? {})).toHaveLength(6000);
    expect(said(front("name: pdf", "description: *later", "license: &later MIT")).join()).toContain(
      "description is not a text",
    );
  });
});

describe("the folder", () => {
  test.each([
    ["/etc/passwd", "the path is absolute"],
    ["../up", 'the path has the part ".."'],
    ["a/../../up", 'the path has the part ".."'],
    ["./a", 'the path has the part "."'],
    ["a//b", "the path has an empty part"],
    ["a/", "the path has an empty part"],
    ["a\\b", "the path has a backslash"],
    ["a\nb", "the path has a control character"],
    ["a\0b", "the path has a control character"],
    ["a\u0085b", "the path has a control character"],
    ["", "the path is empty"],
    ["\ud800", "the path is not valid Unicode"],
    ["x".repeat(256), "the path has a part of more than 255 bytes"],
    ["ü".repeat(128), "the path has a part of more than 255 bytes"],
    [Array.from({ length: 10 }, () => "x".repeat(110)).join("/"), "the path has more than 1024 bytes"],
  ])("the path %j is a problem", (path, message) => {
    expect(checkSkill(skill(GOOD, file(path))).problems).toMatchObject([{ path, line: 0, message }]);
  });

  test("a part of 255 bytes and a path of 1,024 are fine", () => {
    const path = [...Array.from({ length: 4 }, () => "x".repeat(204)), "y".repeat(204)].join("/");
    expect(Buffer.byteLength(path)).toBe(1024);
    expect(said(skill(GOOD, file(path), file("x".repeat(255)), file("..a/...")))).toEqual([]);
  });

  test.each<[string, string[], string]>([
    ["twice the same", ["a", "a"], "a:0 the path stands twice"],
    [
      "apart in case only",
      ["docs/A.md", "docs/a.md"],
      'docs/a.md:0 differs from "docs/A.md" in upper and lower case only',
    ],
    ["a file that is a folder too", ["a/b", "a"], 'a/b:0 stands in "a", which is a file'],
    ["a file that is a folder too, apart in case", ["A/b/c", "a/b"], 'A/b/c:0 stands in "a/b", which is a file'],
  ])("%s is a problem", (_name, paths, expected) => {
    const found = said(skill(GOOD, ...paths.map((path) => file(path))));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(expected);
  });

  test("without SKILL.md it is no skill, and its case is exact", () => {
    expect(said([file("README.md")])).toEqual([":0 the folder has no SKILL.md | name the folder that holds it"]);
    expect(said([file("skill.md", GOOD)])).toEqual([":0 the folder has no SKILL.md | rename skill.md to SKILL.md"]);
    expect(said([])).toHaveLength(1);
    expect(skillBody([])).toBe("");
  });

  test("has bounds", () => {
    const many = Array.from({ length: MAX_BUNDLE_FILES - 1 }, (_, i) => file(`f${i}`));
    expect(said(skill(GOOD, ...many))).toEqual([]);
    expect(said(skill(GOOD, ...many, file("one-more")))[0]).toContain("the folder has 1,001 files");
    const rest = MAX_BUNDLE_BYTES - Buffer.byteLength(GOOD);
    expect(said(skill(GOOD, file("big", Buffer.alloc(rest))))).toEqual([]);
    const large = said(skill(GOOD, file("big", Buffer.alloc(rest)), file("one")));
    expect(large).toHaveLength(1);
    expect(large[0]).toContain('the largest is "big" with 10 MiB');
    const spread = (count: number): BundleFile[] =>
      skill(GOOD, ...Array.from({ length: count }, (_, i) => file(`${i}/f`)));
    expect(said(spread(999))).toEqual([]);
    const deep = Array.from({ length: 900 }, (_, i) => file(`${i}/${"d/".repeat(500)}f`));
    expect(said(skill(GOOD, ...deep))).toEqual([":0 the files lie in more than 1,000 folders | put them side by side"]);
  });
});
