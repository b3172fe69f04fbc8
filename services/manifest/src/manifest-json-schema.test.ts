import { Ajv2020 } from "ajv/dist/2020.js";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { compileText } from "../test/compile-text.ts";
import { manifestSchemaText } from "./manifest-json-schema.ts";
import { manifestJsonSchema } from "./manifest-schema.ts";

const root = join(import.meta.dirname, "../../..");
const isValid = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true }).compile(
  manifestJsonSchema(),
);
const DIGEST = `sha256:${"a".repeat(64)}`;
const MODEL = { model: "offline/echo" };

/** What a schema can't know: whether what a manifest refers to is there. */
const REFERENCE =
  /: (variable \w+ is not (declared|set)|provider "\S+" is not known|(agent|team) "[a-z][a-z0-9-]*" (does not exist|stands in agents too))$/;

/** Whether the reader takes a manifest, as far as what it refers to is there. */
function isRead(manifest: unknown): boolean {
  const files = [{ text: JSON.stringify(manifest), baseDirectory: "/fleet" }];
  const bundles = { report: DIGEST, write: DIGEST };
  return compileText({ files, bundles, variables: { A: "https://a.example" } }).lines.every((line) =>
    REFERENCE.test(line),
  );
}

/** Uses every key there is. */
const WHOLE = {
  environment: ["A", "b_1"],
  defaults: {
    model: "local/x",
    modelParameters: { temperature: 0, maxOutputTokens: 1, topP: 1 },
    instructions: "${A}",
    launcher: "process",
    team: "red",
    turnLimits: { maxSteps: 1000, timeout: "1h30m", maxConcurrentTurns: 1 },
  },
  providers: {
    local: { kind: "openai-compatible", baseUrl: "${A}/v1", apiKeyEnv: "LOCAL_KEY" },
    "2nd": { kind: "offline" },
  },
  agents: {
    one: {
      ...MODEL,
      displayName: "One",
      labels: { tier: "a", size: 1, on: true },
      desiredState: "stopped",
      modelParameters: { temperature: 2 },
      instructions: "hi",
      launcher: "external",
      team: "blue",
      turnLimits: { timeout: "500ms" },
    },
    two: { ...MODEL, desiredState: "running" },
  },
  skills: {
    report: { path: "./report", agents: "*", disabledAgents: ["one"] },
    write: { digest: DIGEST, agents: [] },
  },
  mcpServers: {
    tools: {
      type: "stdio",
      command: "./run",
      args: ["-v", 8, true, "${A}"],
      env: { KEY: "${secret.A_KEY}", PORT: 80 },
      agents: ["*", "one"],
      disabledAgents: ["two"],
      connectTimeout: "10m",
      callTimeout: "1.5s",
    },
    search: { type: "streamable-http", url: "${A}", headers: { x: "y" }, agents: ["one", "two"] },
    plain: { url: "HTTPS://a.example", agents: "*" },
  },
};

type Path = readonly (string | number)[];

/** Every place of a value. */
function placesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, child]) =>
    placesOf(child, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return [path, ...inner];
}

/** The value with another one at a place. */
function changed(value: unknown, [step, ...rest]: Path, put: unknown): unknown {
  if (step === undefined) return put;
  const inner = (value as Record<string | number, unknown>)[step];
  if (Array.isArray(value)) return value.with(Number(step), changed(inner, rest, put));
  return { ...(value as object), [step]: changed(inner, rest, put) };
}

const agent = (own: object) => ({ agents: { one: { ...MODEL, ...own } } });
const server = (own: object) => ({ mcpServers: { a: { command: "x", agents: [], ...own } } });
const times = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));

describe("the JSON Schema of a manifest", () => {
  it("is what docs/agents.schema.json says", () => {
    const printed = readFileSync(join(root, "docs/agents.schema.json"), "utf8");
    expect(printed, "run npm run generate").toBe(manifestSchemaText());
    expect(JSON.parse(printed)).toEqual(manifestJsonSchema());
  });

  it("describes every key", () => {
    const missing: string[] = [];
    const visit = (schema: unknown, path: string): void => {
      if (typeof schema !== "object" || schema === null) return;
      const { properties = {}, additionalProperties } = schema as Record<string, object>;
      for (const [key, child] of Object.entries(properties)) {
        if (!("description" in (child as object))) missing.push(`${path}.${key}`);
        visit(child, `${path}.${key}`);
      }
      visit(additionalProperties, `${path}.*`);
    };
    visit(manifestJsonSchema(), "");
    expect(missing).toEqual([]);
  });

  it("takes the example fleet, and a manifest that uses every key", () => {
    const example = parse(readFileSync(join(root, "examples/fleet/agents.yaml"), "utf8")) as unknown;
    expect([isValid(example), isValid.errors]).toEqual([true, null]);
    expect([isValid(WHOLE), isValid.errors, isRead(WHOLE)]).toEqual([true, null, true]);
    const examples = JSON.stringify(manifestJsonSchema()).match(/"examples":/g) ?? [];
    expect(examples.length).toBeGreaterThan(20);
  });

  it("agrees with the reader when any one value is another", () => {
    const others = [null, 7, -1, 0.5, true, "?", "", "one", [], ["elder", "elder"], [7], {}, { x: 1 }, { x: null }];
    const disagreed = placesOf(WHOLE).flatMap((path) =>
      others.flatMap((put) => {
        const manifest = changed(WHOLE, path, put);
        return isValid(manifest) === isRead(manifest) ? [] : [`${path.join(".")} = ${JSON.stringify(put)}`];
      }),
    );
    expect(disagreed).toEqual([]);
  });

  it("agrees with the reader on keys and on bounds", () => {
    const good = [
      { agents: { one: { ...MODEL, displayName: "n".repeat(120) } } },
      agent({ labels: times(32) }),
      agent({ labels: { ["k".repeat(63)]: "v".repeat(255) } }),
      agent({ model: `offline/${"m".repeat(192)}` }),
      agent({ modelParameters: { maxOutputTokens: 2 ** 31 - 1, topP: 0.001 } }),
      agent({ turnLimits: { maxSteps: 1, maxConcurrentTurns: 1000 } }),
      server({ args: Array<string>(256).fill("x") }),
      server({ args: ["x".repeat(8192)] }),
      server({ env: times(128) }),
      server({ command: "x".repeat(4096) }),
      { mcpServers: { [`a${"b".repeat(31)}`]: { command: "x", agents: [] } } },
      { mcpServers: { a: { type: "http", url: "http://x", headers: times(64), agents: [] } } },
      { skills: { [`${"a-".repeat(31)}bc`]: { digest: DIGEST, agents: [] } } },
      { environment: ["A".repeat(128), "_"] },
      { agents: { [`a${"b".repeat(62)}`]: MODEL } },
    ];
    const bad = [
      [],
      "agents",
      { agent: {} },
      { agents: { one: { ...MODEL, modle: "x" } } },
      { agents: { One: MODEL } },
      { agents: { "a:b": MODEL } },
      { agents: { "*": MODEL } },
      { agents: { [`a${"b".repeat(63)}`]: MODEL } },
      agent({ displayName: "n".repeat(121) }),
      agent({ labels: times(33) }),
      agent({ labels: { ["k".repeat(64)]: "v" } }),
      agent({ labels: { "": "v" } }),
      agent({ labels: { k: "v".repeat(256) } }),
      agent({ model: `offline/${"m".repeat(193)}` }),
      agent({ model: "offline" }),
      agent({ model: "offline/a b" }),
      agent({ modelParameters: { temperature: 2.1 } }),
      agent({ modelParameters: { topP: 0 } }),
      agent({ modelParameters: { maxOutputTokens: 2 ** 31 } }),
      agent({ modelParameters: { maxOutputTokens: 1.5 } }),
      agent({ turnLimits: { maxSteps: 1001 } }),
      agent({ turnLimits: { maxConcurrentTurns: 0 } }),
      agent({ turnLimits: { timeout: "30" } }),
      agent({ turnLimits: { timeout: "1s1m" } }),
      { defaults: { displayName: "x" } },
      { providers: { a: {} } },
      { providers: { a: { kind: "openai-compatible" } } },
      { providers: { a: { kind: "openai", apiKeyEnv: "sk-123" } } },
      { providers: { a: { kind: "openai", baseUrl: "ftp://x" } } },
      { skills: { report: { path: "x" } } },
      { skills: { report: { agents: [] } } },
      { skills: { report: { path: "x", digest: DIGEST, agents: [] } } },
      { skills: { report: { digest: DIGEST.toUpperCase(), agents: [] } } },
      { skills: { "re--port": { path: "x", agents: [] } } },
      { mcpServers: { a: { command: "x" } } },
      { mcpServers: { a: { agents: [] } } },
      { mcpServers: { [`a${"b".repeat(32)}`]: { command: "x", agents: [] } } },
      server({ url: "http://x" }),
      server({ headers: {} }),
      server({ type: "http" }),
      server({ type: "sse" }),
      server({ disabledAgents: ["*"] }),
      server({ args: Array<string>(257).fill("x") }),
      server({ args: ["x".repeat(8193)] }),
      server({ env: times(129) }),
      server({ command: "x".repeat(4097) }),
      { mcpServers: { a: { url: "http://x", args: [], agents: [] } } },
      { mcpServers: { a: { url: "http://x", env: {}, agents: [] } } },
      { mcpServers: { a: { url: "http://x", headers: times(65), agents: [] } } },
      { mcpServers: { a: { type: "stdio", url: "http://x", agents: [] } } },
      { environment: ["A".repeat(129)] },
      { environment: ["A", "A"] },
      { environment: ["1A"] },
    ];
    const verdicts = (manifests: readonly unknown[]) =>
      manifests.map((manifest) => [JSON.stringify(manifest).slice(0, 80), isValid(manifest), isRead(manifest)]);
    expect(verdicts(good).filter(([, schema, reader]) => schema !== true || reader !== true)).toEqual([]);
    expect(verdicts(bad).filter(([, schema, reader]) => schema !== false || reader !== false)).toEqual([]);
  });
});
