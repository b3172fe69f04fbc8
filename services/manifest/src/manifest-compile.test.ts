import { create, toJson } from "@bufbuild/protobuf";
import { AgentSchema, DefaultsSchema } from "@openhermit/protocol/fleet/v1/agent";
import * as fc from "fast-check";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileText as compile } from "../test/compile-text.ts";

const placesAreReal = (text: string): boolean => compile(text).problems.every(({ at }) => at.line > 0 && at.column > 0);

describe("compileManifest", () => {
  it("compiles the example fleet without a problem", () => {
    const file = join(import.meta.dirname, "../../../examples/fleet/agents.yaml");
    const { agents, mcpServers, lines } = compile({
      files: [{ text: readFileSync(file, "utf8"), baseDirectory: dirname(file) }],
    });
    expect(lines).toEqual([]);
    expect(agents.map((agent) => agent.id)).toEqual(["one", "two", "three"]);
    const transport = mcpServers[0]?.transport;
    const script = transport?.case === "stdio" ? transport.value.args[0] : "";
    expect(readFileSync(script ?? "", "utf8")).toContain("import");
  });

  it("keeps defaults apart from what agents set themselves", () => {
    const { defaults, agents, lines } = compile(`
defaults:
  model: offline/echo
  modelParameters: { temperature: 0.5, topP: 0.9 }
  turnLimits: { maxSteps: 8, timeout: 1m30s }
  launcher: external
agents:
  one:
  two: { model: ollama/llama3.2, modelParameters: { temperature: 0 }, turnLimits: { timeout: 500ms }, labels: { tier: 1 } }
  three: { desiredState: stopped, displayName: Third }
`);
    expect(lines).toEqual([]);
    expect(toJson(DefaultsSchema, defaults ?? create(DefaultsSchema))).toEqual({
      spec: {
        model: "offline/echo",
        modelParameters: { temperature: 0.5, topP: 0.9 },
        launcher: "LAUNCHER_EXTERNAL",
        turnLimits: { maxSteps: 8, timeout: "90s" },
      },
    });
    expect(agents.map((agent) => toJson(AgentSchema, agent))).toEqual([
      { id: "one", displayName: "one", spec: {} },
      {
        id: "two",
        displayName: "two",
        labels: { tier: "1" },
        spec: {
          model: "ollama/llama3.2",
          modelParameters: { temperature: 0 },
          turnLimits: { timeout: "0.500s" },
        },
      },
      { id: "three", displayName: "Third", spec: {}, desiredState: "DESIRED_STATE_STOPPED" },
    ]);
  });

  it("takes an agent without a model when the stored defaults have one and stay", () => {
    const known = { defaultModel: "offline/echo" };
    expect(compile("agents: { one: }", known).lines).toEqual([]);
    expect(compile("defaults: { team: red }\nagents: { one: }", known)).toMatchObject({
      lines: [],
      defaults: undefined,
    });
    // Defaults of the file replace the stored ones whole, also when they set nothing.
    const missing = ['2:11 agents.one: agent "one" has no model'];
    expect(compile("defaults: { instructions: hi }\nagents: { one: }", known).lines).toEqual(missing);
    expect(compile("defaults:\nagents: { one: }", known).lines).toEqual(missing);
  });

  it("resolves relative commands and arguments from the folder of the manifest", () => {
    const text = 'mcpServers: { a: { command: ./run, args: [../x.js, -v, "--n=.", 8], agents: "*" } }';
    const { mcpServers } = compile({ files: [{ text, baseDirectory: "/srv/fleet" }] });
    expect(mcpServers[0]?.transport.value).toMatchObject({
      command: "/srv/fleet/run",
      args: ["/srv/x.js", "-v", "--n=.", "8"],
    });
    expect(compile({ files: [{ text }] }).lines).toEqual([
      '1:29 mcpServers.a.command: "./run" is relative, and the manifest came without a folder',
      '1:43 mcpServers.a.args[0]: "../x.js" is relative, and the manifest came without a folder',
    ]);
  });

  it("tells every problem at once, each at its place", () => {
    const { problems, lines } = compile(`defaults:
  instructions: be brief
agents:
  one:
    modle: offline/echo
  Two:
    model: antropic/claude
  one:
    model: offline/echo
  three:
    model: echo
    turnLimits: { timeout: 30, maxSteps: "8" }
    modelParameters: { temperature: 3 }
    displayName: 12
providers:
  local: { kind: openai-compatible, apiKeyEnv: sk-123 }
mcpServers:
  a: { command: node, url: ftp://x, agents: [one, tree] }
  b: { url: "https://x.example", args: [1], headers: { authorization: "Bearer \${TOKEN}" } }
  c:
`);
    expect(lines).toEqual([
      '4:3 agents.one: agent "one" has no model',
      '5:5 agents.one.modle: unknown key "modle"',
      `6:3 agents.Two: "Two" can't be an agent's id: lower-case letters, digits and dashes, at most 63, starting with a letter`,
      '7:12 agents.Two.model: provider "antropic" is not known',
      '8:3 agents.one: "one" stands twice; the first is in line 4',
      '11:12 agents.three.model: "echo" is not a model: write provider/model',
      "12:28 agents.three.turnLimits.timeout: expected a duration, found the number 30",
      '12:42 agents.three.turnLimits.maxSteps: expected a whole number, found "8"',
      "13:37 agents.three.modelParameters.temperature: must be greater than or equal to 0 and less than or equal to 2",
      "14:18 agents.three.displayName: expected text, found the number 12",
      '16:3 providers.local: provider "local" has no baseUrl',
      "16:48 providers.local.apiKeyEnv: not the name of an environment variable that holds a key",
      '18:23 mcpServers.a.url: MCP server "a" has both command and url',
      "18:28 mcpServers.a.url: not an http or https URL",
      '18:51 mcpServers.a.agents[1]: agent "tree" does not exist',
      '19:3 mcpServers.b: MCP server "b" does not say who uses it',
      "19:34 mcpServers.b.args: args has no use with url",
      "19:71 mcpServers.b.headers.authorization: variable TOKEN is not declared",
      '20:3 mcpServers.c: MCP server "c" does not say who uses it',
      '20:3 mcpServers.c: MCP server "c" has neither command nor url',
    ]);
    const hints = new Map(problems.map((problem) => [problem.path, problem.hint]));
    expect(hints.get("agents.one.modle")).toBe('did you mean "model"?');
    expect(hints.get("agents.Two.model")).toBe('did you mean "anthropic"?');
    expect(hints.get("agents.three.turnLimits.timeout")).toBe("write 30s for seconds");
    expect(hints.get("mcpServers.a.agents[1]")).toBe('did you mean "three"?');
  });

  it("gives an agent the team of its own key, else that of the defaults, else none", () => {
    const { agents, lines } = compile(
      "defaults: { model: offline/echo, team: red }\nagents: { a: , b: { team: blue } }",
    );
    expect([lines, agents.map(({ team }) => team)]).toEqual([[], ["red", "blue"]]);
    expect(compile("defaults: { model: offline/echo }\nagents: { a: }").agents[0]?.team).toBe("");
    const { lines: told } = compile(
      'defaults: { model: offline/echo, team: Red }\nagents: { a: , b: { team: green }, c: { team: "" }, d: { team: 7 } }',
    );
    expect(told).toEqual([
      "1:40 defaults.team: \"Red\" can't be a team's id: lower-case letters, digits and dashes, at most 63, starting with a letter",
      '2:27 agents.b.team: team "green" does not exist',
      "2:47 agents.c.team: expected a team, found nothing",
      "2:64 agents.d.team: expected text, found the number 7",
    ]);
  });

  it("knows an agent, and names it in a hint, only when the caller may know of it", () => {
    const { problems } = compile("mcpServers: { a: { command: node, agents: [elder, secret-plan, elde] } }");
    expect(problems.map(({ message, hint }) => `${message}: ${hint}`)).toEqual([
      'agent "secret-plan" does not exist: add it under agents:, or remove it here',
      'agent "elde" does not exist: did you mean "elder"?',
    ]);
  });

  it("tells a bad default once, where it stands", () => {
    const { lines } = compile("defaults: { model: offline/echo, turnLimits: { maxSteps: 0 } }\nagents: { a: , b: }");
    expect(lines).toEqual(["1:58 defaults.turnLimits.maxSteps: must be greater than 0 and less than or equal to 1000"]);
  });

  it("tells a syntax error with its line", () => {
    expect(compile("agents:\n  one:\n    model: [a\n").lines[0]).toMatch(/^\d:\d+ : .*/);
    expect(compile("agents:\n\tone: {}").lines.length).toBeGreaterThan(0);
    expect(compile("").lines).toEqual(["1:1 : the manifest is empty"]);
    expect(compile("a: 1\n---\nb: 2").lines).toHaveLength(1);
  });

  it("takes any input without failing, and answers with messages or problems that have a place", () => {
    const key = fc.constantFrom(
      "defaults",
      "agents",
      "providers",
      "mcpServers",
      "model",
      "args",
      "one",
      "env",
      "url",
      "<<",
    );
    const leaf = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom("*", "&a", "30s", "./x"),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 5 }, leaf, fc.dictionary(fc.oneof(key, fc.string()), tie("tree"))),
    }));
    const scribble = fc.array(
      fc.constantFrom(
        "agents",
        ":",
        "\n",
        "  ",
        "- ",
        "[",
        "{",
        "}",
        "&a ",
        "*a",
        "!!set",
        '"',
        "'",
        "|",
        "#",
        "%",
        "\t",
        "? ",
        "<<",
        "\0",
        "\u{1F600}",
      ),
    );
    const properties = [
      fc.property(tree, (value) => placesAreReal(JSON.stringify(value))),
      fc.property(scribble, (parts) => placesAreReal(parts.join(""))),
      fc.property(fc.string({ unit: "binary" }), placesAreReal),
    ];
    for (const property of properties)
      expect(fc.check(property as fc.IProperty<unknown>, { numRuns: 300 })).toMatchObject({ failed: false });
  });
});
