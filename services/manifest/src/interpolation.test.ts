import * as fc from "fast-check";
import { expect, it } from "vitest";
import { compileText } from "../test/compile-text.ts";
import { createInterpolation, escapeVariables } from "./interpolation.ts";

const MANIFEST = `
environment: [REGION, HOST, EMPTY, UNSET]
defaults: { model: offline/echo, instructions: "say \${REGION} and $\${x}" }
providers:
  local: { kind: openai-compatible, baseUrl: "http://\${HOST}/\${UNSET:-v1}" }
mcpServers:
  a:
    command: \${UNSET:-./run}
    args: ["--region=\${REGION}", "$\${REGION}", "\${EMPTY}", "\${EMPTY:-full}", "$./plain", "$REGION $$"]
    env: { TOKEN: "Bearer \${secret.A_TOKEN}", REGION: "\${REGION}" }
    agents: "*"
  b: { url: "https://\${HOST}/mcp", headers: { x: "\${REGION}\${secret.B_KEY}" }, agents: [] }
`;
const variables = { REGION: "eu ${UNSET}", HOST: "h.example", EMPTY: "", OTHER: "never" };

it("replaces declared variables where they may stand, and nothing anywhere else", () => {
  const text = MANIFEST.replace("REGION, HOST", "REGION, HOST").replace('REGION: "${REGION}"', 'H: "${HOST}"');
  const { lines, defaults, providers, mcpServers } = compileText({
    files: [{ text: text.replace('x: "${REGION}', 'x: "${HOST}'), baseDirectory: "/fleet" }],
    variables,
  });
  expect(lines).toEqual([]);
  expect(defaults?.spec?.instructions).toBe("say ${REGION} and $${x}");
  expect(providers[0]?.baseUrl).toBe("http://h.example/v1");
  expect(mcpServers.map(({ transport }) => transport.value)).toMatchObject([
    {
      command: "/fleet/run",
      // A value is not looked at again.
      args: ["--region=eu ${UNSET}", "${REGION}", "", "full", "./plain", "$REGION $$"],
      env: { TOKEN: "Bearer ${secret.A_TOKEN}", H: "h.example" },
    },
    { url: "https://h.example/mcp", headers: { x: "h.example${secret.B_KEY}" } },
  ]);
});

it("tells what can't be replaced, each at its place, and never a value", () => {
  const { problems, lines, hints } = compileText({
    files: [
      {
        text: `
environment: [REGION, UNSET, 7, A-B, REGION]
mcpServers:
  a:
    command: \${secret.A_TOKEN}
    args: ["\${UNSET}", "\${REGIO}", "\${", "\${a b}", "\${OTHER:-x}", "\${secrets.X}"]
    env: { A: "\${secret.lower}", B: "\${secret.OPENHERMIT_KEY}", C: "$\${literal}", D: "\${REGION}" }
    agents: []
  b: { command: "./\${REGION}", agents: [] }
  c: { url: "\${REGION}", agents: [] }
`,
      },
    ],
    variables: { ...variables, REGION: "private ${value}" },
  });
  expect(lines).toEqual([
    "2:30 environment[2]: expected the name of an environment variable",
    "2:33 environment[3]: expected the name of an environment variable",
    '2:38 environment[4]: "REGION" is declared twice',
    "5:14 mcpServers.a.command: ${secret.A_TOKEN} has no use here",
    "6:12 mcpServers.a.args[0]: variable UNSET is not set",
    "6:24 mcpServers.a.args[1]: variable REGIO is not declared",
    '6:36 mcpServers.a.args[2]: "${" has no end',
    "6:42 mcpServers.a.args[3]: ${a b} is not a variable",
    "6:52 mcpServers.a.args[4]: variable OTHER is not declared",
    "6:67 mcpServers.a.args[5]: ${secrets.X} is not a variable",
    "7:15 mcpServers.a.env.A: ${secret.lower} is not a secret's name",
    "7:37 mcpServers.a.env.B: ${secret.OPENHERMIT_KEY} is not a secret's name",
    "7:68 mcpServers.a.env.C: the value has ${ in it, which the sidecar would take for a secret's name",
    "7:86 mcpServers.a.env.D: the value has ${ in it, which the sidecar would take for a secret's name",
    '9:17 mcpServers.b.command: "./${REGION}" is relative, and the manifest came without a folder',
    "10:13 mcpServers.c.url: must be a valid URI",
  ]);
  expect(hints["mcpServers.a.args[0]"]).toBe("set UNSET in the environment of the command");
  expect(hints["mcpServers.a.args[1]"]).toBe('did you mean "REGION"?');
  expect(hints["mcpServers.a.args[4]"]).toBe(
    "add OTHER under environment:, or write $${ for the characters themselves",
  );
  expect(JSON.stringify(problems)).not.toContain("private");
});

it("does not take names of Object for variables", () => {
  const text =
    'environment: [constructor, __proto__]\nmcpServers: { a: { command: "${constructor}${__proto__}", agents: [] } }';
  expect(compileText(text).lines).toEqual([
    "2:29 mcpServers.a.command: variable constructor is not set",
    "2:29 mcpServers.a.command: variable __proto__ is not set",
  ]);
});

it("reads back what it escapes", () => {
  const part = fc.constantFrom(
    "$",
    "{",
    "}",
    "${",
    "$${",
    "${A}",
    "${secret.A_KEY}",
    "${secret.a}",
    "secret.",
    ":-",
    "x",
  );
  const value = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(""));
  const problems = { add: () => expect.unreachable(), touches: () => false, sorted: () => [], size: 0 };
  const interpolate = createInterpolation([], {}, problems);
  fc.assert(
    fc.property(value, fc.boolean(), (text, secrets) => {
      expect(interpolate(escapeVariables(text, { secrets }), [], { secrets })).toBe(text);
    }),
    { numRuns: 2000 },
  );
  expect(escapeVariables("Bearer ${secret.A_TOKEN}", { secrets: true })).toBe("Bearer ${secret.A_TOKEN}");
});
