import { describe, expect, it } from "vitest";
import type { CliError } from "../cli-error.ts";
import { readForeignServers } from "./foreign-servers.ts";

const read = (value: unknown, environment: Record<string, string> = {}) =>
  readForeignServers(typeof value === "string" ? value : JSON.stringify(value), "x.json", environment);
const problems = (value: unknown, environment: Record<string, string> = {}): string => {
  try {
    return JSON.stringify(read(value, environment));
  } catch (error) {
    const { message, why } = error as CliError;
    return `${message}\n${why}`;
  }
};

describe("readForeignServers", () => {
  it("reads the forms in which tools keep servers", () => {
    const files = { command: "npx", args: ["-y", "files"] };
    const expected = [{ id: "files", ...files }];
    for (const form of [
      { mcpServers: { files } },
      { servers: { files }, inputs: [] },
      { mcp: { servers: { files } }, "editor.fontSize": 12 },
      { files },
    ])
      expect(read(form).servers).toEqual(expected);
    expect(
      read('\ufeff{ // "a"\n "mcpServers": {"files": {"command": "a//b", /* x */ "args": ["1,]",], },},}').servers,
    ).toEqual([{ id: "files", command: "a//b", args: ["1,]"] }]);
  });

  it("takes only what has a meaning here, and says what it leaves out", () => {
    const { servers, notes } = read({
      mcpServers: {
        "GitHub Copilot": {
          type: "streamableHttp",
          url: "https://x/mcp",
          headers: { A: "b" },
          timeout: 3,
        },
        unused: { command: "x", disabled: true },
        "2-fast_2": { type: "stdio", command: "x", args: [1, true], env: { N: 5 } },
      },
    });
    expect(servers).toEqual([
      { id: "github-copilot", type: "http", url: "https://x/mcp", headers: { A: "b" } },
      { id: "fast-2", type: "stdio", command: "x", args: ["1", "true"], env: { N: "5" } },
    ]);
    expect(notes).toEqual([
      "unused: left out, since it is disabled there",
      "GitHub Copilot is called github-copilot here",
      "github-copilot: left out, since it has no meaning here: timeout",
      "2-fast_2 is called fast-2 here",
    ]);
  });

  it("takes variables from the environment, leaves secrets, and points out what may be secret", () => {
    const { servers, notes } = read(
      {
        mcpServers: {
          a: {
            command: "${HOME_DIR}/bin/x",
            args: ["${env:WORD}", "${NONE:-a:-b}", "${EMPTY:-c}"],
            env: { API_KEY: "${secret.MY_KEY}", GITHUB_TOKEN: "${TOKEN}", SORT: "${WORD}" },
          },
          b: { url: "https://x", headers: { Authorization: "Bearer ${secret.B_TOKEN}", "X-Api-Key": "k" } },
        },
      },
      { HOME_DIR: "/home/x", WORD: "w", TOKEN: "ghp", EMPTY: "" },
    );
    expect(servers).toMatchObject([
      {
        command: "/home/x/bin/x",
        args: ["w", "a:-b", "c"],
        env: { API_KEY: "${secret.MY_KEY}", GITHUB_TOKEN: "ghp", SORT: "w" },
      },
      { headers: { Authorization: "Bearer ${secret.B_TOKEN}" } },
    ]);
    expect(notes).toHaveLength(2);
    expect(notes[0]).toMatch(/^a: env\.GITHUB_TOKEN seems to be secret .*\$\{secret\.GITHUB_TOKEN\}/);
    expect(notes[1]).toMatch(/^b: headers\.X-Api-Key seems to be secret .*\$\{secret\.X_API_KEY\}/);
    expect(notes.join("")).not.toContain("ghp");
  });

  it("tells every problem at once, and no value", () => {
    const said = problems({
      mcpServers: {
        a: { command: "${HOEM}", args: ["${input:key}"], env: { X: { y: 1 } } },
        b: { command: ["x"] },
        c: "x",
        d_d: { command: "x" },
        "d-d": { command: "x" },
        "...": { command: "x" },
      },
    });
    expect(said.split("\n")).toEqual([
      "x.json can't be imported; nothing was changed",
      "a.command: the variable HOEM is not set; set it",
      "a.args[0]: ${input:key} has no meaning here; write the value",
      "a.env: it must be an object of words",
      "b.command: it must be text",
      "c: it is no object",
      "...: no id can be made of this name",
      "d-d: two servers would be called so",
    ]);
  });

  it.each([
    ["nonsense", "it is no JSON"],
    ["[]", "it holds no object"],
    ["{}", "it has neither mcpServers nor servers"],
    ['{"mcpServers": {}}', "it names no server"],
    ['{"mcpServers": []}', "it has neither mcpServers nor servers"],
    ['{"mcpServers": {"a": {"command": "x" "args": []}}}', "it is no JSON"],
  ])("refuses %s", (text, said) => expect(problems(text)).toContain(said));
});
