import { create, toJson, type DescMessage, type Message } from "@bufbuild/protobuf";
import { DurationSchema, type Duration } from "@bufbuild/protobuf/wkt";
import { McpServerSchema, type McpServer } from "@openhermit/protocol/catalog/v1/mcp_server";
import { SkillSchema, type Skill } from "@openhermit/protocol/catalog/v1/skill";
import {
  AgentSchema,
  DefaultsSchema,
  DesiredState,
  Launcher,
  ProviderKind,
  ProviderSchema,
  type Agent,
  type Provider,
} from "@openhermit/protocol/fleet/v1/agent";
import { Ajv2020 } from "ajv/dist/2020.js";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { compileText } from "../test/compile-text.ts";
import { manifestText, type ManifestContent } from "./export-yaml.ts";
import { hasStrayVariable } from "./interpolation.ts";
import { manifestJsonSchema } from "./manifest-schema.ts";

/** Texts that a writer of YAML gets wrong. */
const ODD_TEXTS = [
  "",
  " ",
  " leading",
  "trailing ",
  "\n",
  "\n\n\n",
  "\n  indented first\nline",
  "line\n",
  "line\n\n",
  "a\r\nb",
  "\ttab",
  "a\n\tb\n",
  "---",
  "--- a\n...\nb",
  "...",
  "a: #b",
  ": #",
  "- a",
  "? a",
  "# comment",
  "a #b",
  "&a",
  "*a",
  "!tag",
  "|",
  ">-",
  "%YAML 1.1",
  "@a",
  "`a`",
  "'",
  '"',
  "\\",
  "\\n",
  "[a, b]",
  "{a: b}",
  "yes",
  "No",
  "null",
  "~",
  "true",
  "FALSE",
  "on",
  "0",
  "-1",
  "1.0",
  "1e3",
  "0x1f",
  "0o7",
  "1_000",
  "12:30:45",
  ".inf",
  ".NaN",
  "2001-12-14",
  "<<",
  "=",
  "${NAME}",
  "${NAME:-x}",
  "$${NAME}",
  "${secret.A_TOKEN}",
  "$${secret.A_TOKEN}",
  "${secret.lower}",
  "${",
  "$",
  "./relative",
  "../up",
  "$./literal",
  "$$../literal",
  "ünïcödé 👩‍👩‍👧 \u202e\u200b\ufeff",
  "\u0085\u00a0\u2028\u2029\u0007\u001b\u007f",
  "a".repeat(5000),
  "word ".repeat(800),
  `${"x".repeat(200)}\n  ${"y ".repeat(200)}\n`,
];

const text = fc.oneof(
  fc.constantFrom(...ODD_TEXTS),
  fc
    .array(fc.constantFrom(...ODD_TEXTS.filter(({ length }) => length < 100)), { maxLength: 4 })
    .map((all) => all.join("")),
  fc.string({ unit: "grapheme", maxLength: 40 }).map((made) => made.replaceAll("\0", "")),
  // PostgreSQL keeps no NUL.
  fc.string({ unit: "binary", maxLength: 20 }).map((made) => made.replaceAll("\0", "")),
  fc.string({ unit: fc.constantFrom(" ", "\n", "\t", "a", ":", "#", "-", "'", '"', "\\"), maxLength: 20 }),
);
const short = (maxLength: number) => text.map((value) => Array.from(value).slice(0, maxLength).join(""));
const key = text.filter((value) => value !== "__proto__");
const slug = (maxLength: number) =>
  fc
    .tuple(fc.constantFrom("a", "on", "no", "null", "e", "true"), fc.stringMatching(/^[a-z0-9-]{0,8}[a-z0-9]$/))
    .map(([head, tail]) => (head + tail).slice(0, maxLength).replace(/-+$/, ""));

const duration = (maxSeconds: number): fc.Arbitrary<Duration> =>
  fc
    .tuple(
      fc.oneof(fc.constantFrom(0, 1, 60, 90, 120, 3600), fc.nat(maxSeconds - 1)),
      fc.oneof(fc.constantFrom(0, 1, 500_000_000, 1_000_000, 999_999_999), fc.nat(999_999_999)),
    )
    .map(([seconds, nanos]) => ({ seconds: Math.min(seconds, maxSeconds - 1), nanos }))
    .map(({ seconds, nanos }) =>
      create(DurationSchema, { seconds: BigInt(seconds), nanos: seconds === 0 && nanos === 0 ? 1 : nanos }),
    );
/** Leaves keys out, never sets them to undefined. */
const some = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;
const someSet = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  some(model).map((value) => (Object.keys(value).length === 0 ? undefined : value));

const spec = (model: fc.Arbitrary<string>) =>
  fc
    .record({
      model,
      instructions: text,
      launcher: fc.constantFrom(Launcher.UNSPECIFIED, Launcher.PROCESS, Launcher.EXTERNAL),
      modelParameters: someSet({
        temperature: fc.oneof(fc.constantFrom(0, 1, 2, 1e-7), fc.double({ min: 0, max: 2, noNaN: true })),
        maxOutputTokens: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        topP: fc.double({ min: 0, max: 1, minExcluded: true, noNaN: true }),
      }),
      turnLimits: someSet({
        maxSteps: fc.integer({ min: 1, max: 1000 }),
        timeout: duration(86_400),
        maxConcurrentTurns: fc.integer({ min: 1, max: 1000 }),
      }),
    })
    .map(({ modelParameters, turnLimits, ...rest }) => ({
      ...rest,
      ...(modelParameters && { modelParameters }),
      ...(turnLimits && { turnLimits }),
    }));

const provider: fc.Arbitrary<Provider> = fc
  .record({
    name: slug(63),
    kind: fc.constantFrom(ProviderKind.ANTHROPIC, ProviderKind.OPENAI, ProviderKind.OPENAI_COMPATIBLE),
    baseUrl: fc.constantFrom("https://models.example/v1", "http://127.0.0.1:1/a?b=%7B#c"),
    apiKeyEnv: fc.constantFrom("", "A_KEY", "NO_TOKEN"),
  })
  .map((value) => create(ProviderSchema, value));

const agent = (model: fc.Arbitrary<string>): fc.Arbitrary<Agent> =>
  fc
    .record({
      id: slug(63),
      displayName: short(120),
      labels: fc.dictionary(
        short(63).filter((name) => name !== "" && name !== "__proto__"),
        short(255),
        { maxKeys: 5 },
      ),
      spec: spec(model),
      desiredState: fc.constantFrom(DesiredState.UNSPECIFIED, DesiredState.STOPPED),
      team: fc.constantFrom("", "red", "blue"),
    })
    .map((value) => create(AgentSchema, { ...value, displayName: value.displayName || value.id }));

const assignment = (agentIds: readonly string[]) =>
  fc
    .tuple(fc.subarray(["*", ...agentIds]), fc.subarray([...agentIds]))
    .map(([agents, disabled]) => ({ agents, disabledAgents: disabled.filter((id) => !agents.includes(id)) }));

const skill = (agentIds: readonly string[]): fc.Arbitrary<Skill> =>
  fc
    .tuple(slug(64), fc.stringMatching(/^[0-9a-f]{64}$/), assignment(agentIds))
    .map(([id, hex, used]) => create(SkillSchema, { id: id.replace(/-+/g, "-"), digest: `sha256:${hex}`, ...used }));

const mcpServer = (agentIds: readonly string[]): fc.Arbitrary<McpServer> => {
  const values = fc.dictionary(
    key,
    text.filter((value) => !hasStrayVariable(value)),
    { maxKeys: 4 },
  );
  const url = fc.constantFrom("https://mcp.example/mcp", "http://a:b@h:1/?q=%24&r=$x#f");
  return fc
    .record({
      id: slug(32),
      used: assignment(agentIds),
      timeouts: some({ connectTimeout: duration(600), callTimeout: duration(3600) }),
      transport: fc.oneof(
        fc.record({
          case: fc.constant("stdio" as const),
          value: fc.record({
            command: text.filter((value) => value !== "").map((value) => value.slice(0, 2000)),
            args: fc.array(text, { maxLength: 4 }),
            env: values,
          }),
        }),
        fc.record({ case: fc.constant("http" as const), value: fc.record({ url, headers: values }) }),
      ),
    })
    .map(({ id, used, timeouts, transport }) => create(McpServerSchema, { id, ...used, ...timeouts, transport }));
};

/** All that a manifest can say, with texts that are hard to write. Agents have a model; what is referred to is there. */
const manifestContent: fc.Arbitrary<ManifestContent> = fc
  .uniqueArray(provider, { selector: ({ name }) => name, maxLength: 3 })
  .chain((providers) => {
    const names = ["offline", ...providers.map(({ name }) => name)];
    const model = fc
      .tuple(fc.constantFrom(...names), fc.constantFrom("echo", "llama3.2:7b", "a/b#c", "${x}", "null"))
      .map((parts) => parts.join("/"));
    return fc
      .tuple(
        fc.uniqueArray(agent(model), { selector: ({ id }) => id, maxLength: 4 }),
        fc.option(spec(model), { nil: undefined }),
        fc.boolean(),
      )
      .map(([agents, defaults, inherits]) => ({ providers, agents, defaults, inherits }));
  })
  .chain(({ providers, agents, defaults, inherits }) => {
    const agentIds = agents.map(({ id }) => id);
    const things = <T extends { id: string }>(arbitrary: fc.Arbitrary<T>) =>
      fc.uniqueArray(arbitrary, { selector: ({ id }) => id, maxLength: 3 });
    return fc.tuple(things(skill(agentIds)), things(mcpServer(agentIds))).map(([skills, mcpServers]) => ({
      providers,
      // With defaults agents may leave out their model.
      agents: agents.map((one, index) => {
        if (defaults === undefined || !inherits || index % 2 === 0 || one.spec === undefined) return one;
        return create(AgentSchema, { ...one, spec: { ...one.spec, model: "" } });
      }),
      defaults: defaults && create(DefaultsSchema, { spec: defaults }),
      skills,
      mcpServers,
    }));
  });

/** The content as JSON, in the order of its ids. */
function asJson({ defaults, providers, agents, skills, mcpServers }: ManifestContent): unknown {
  const ordered = (schema: DescMessage, messages: readonly Message[], idOf: (message: never) => string): unknown =>
    messages
      .toSorted((a, b) => (idOf(a as never) < idOf(b as never) ? -1 : 1))
      .map((message) => toJson(schema, message));
  return {
    defaults: defaults && toJson(DefaultsSchema, defaults),
    providers: ordered(ProviderSchema, providers, ({ name }: { name: string }) => name),
    agents: ordered(AgentSchema, agents, ({ id }: { id: string }) => id),
    skills: ordered(SkillSchema, skills, ({ id }: { id: string }) => id),
    mcpServers: ordered(McpServerSchema, mcpServers, ({ id }: { id: string }) => id),
  };
}

const hasRightKeys = new Ajv2020({ allowUnionTypes: true, strictRequired: false }).compile(manifestJsonSchema());

it("writes what reads back as the same, whatever the texts, and keeps to the schema", () => {
  fc.assert(
    fc.property(manifestContent, (content) => {
      const written = manifestText(content, { skillPaths: false });
      const compiled = compileText(written);
      expect(compiled.lines).toEqual([]);
      expect(asJson(compiled)).toEqual(asJson(content));
      expect([hasRightKeys(parse(written)), hasRightKeys.errors]).toEqual([true, null]);
      // Only what can be read in any editor.
      expect(written).toMatch(/^[\t\n\u0020-\u007e\u00a1-\u2027\u202f-\ufefe\uff00-\u{10ffff}]*$/u);
    }),
    { numRuns: 100 },
  );
}, 120_000);
